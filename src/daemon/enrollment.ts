import type { AuditLog } from "../audit/index.ts";
import type { DeviceCa } from "../ca/index.ts";
import { parseTlsRequest } from "../certs/index.ts";
import { type Clock, equalBytes, GatehouseError } from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import { deviceIdOf } from "../identity/index.ts";
import type { Enroll } from "../pairing/index.ts";
import type { Vault } from "../vault/index.ts";

export interface EnrollmentParts {
  readonly ca: DeviceCa;
  readonly vault: Vault;
  readonly audit: AuditLog;
  readonly clock: Clock;
}

/** Makes a proven joiner a device: checks its request, certifies its key, pins both keys; stored and audited as one. */
export function enrollment({ ca, vault, audit, clock }: EnrollmentParts): Enroll {
  return async (request) => {
    const asked = await parseTlsRequest(request.certificateRequest);
    if (!equalBytes(asked.identityKey, request.identityKey)) {
      throw new GatehouseError("certificate.bad-request", "the certificate request names another identity");
    }
    const deviceId = deviceIdOf(request.identityKey);
    const leaf = await ca.issueDevice(asked);
    const { name, role, kind, platform, identityKey, replaces } = request;
    const event = audit.encodeEvent({
      principal: deviceId,
      principalRole: role,
      action: "device:enroll",
      resource: `device:${deviceId}`,
      outcome: "done",
      detail: { name, kind, platform, certificateSerial: leaf.serial, ...(replaces && { replaces }) },
    });
    const { serial, expiresAt, generation } = leaf;
    const device = {
      ...{ id: deviceId, name, role, kind, platform, identityKey, pairedAt: clock.now() },
      spkiSha256: sha256(asked.spki),
      certificate: { serial, expiresAt, generation },
    };
    await vault.devices.add(device, { audit: event }, { replaces });
    return { deviceId, name, role, certificate: leaf.der, caCertificates: ca.certificatesDer };
  };
}
