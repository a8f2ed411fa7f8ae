import type { DeviceCa } from "../ca/index.ts";
import { parseTlsRequest } from "../certs/index.ts";
import { ByteWriter, type Clock, equalBytes, GatehouseError } from "../core/index.ts";
import { LABELS, sha256 } from "../crypto/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import type { DeviceDirectory } from "../services/index.ts";
import type { Devices } from "../vault/index.ts";

const NONCE_BYTES = 32;

export interface RenewalParts {
  readonly identity: DeviceIdentity;
  readonly ca: DeviceCa;
  readonly devices: Devices;
  readonly clock: Clock;
}

/**
 * Certifies a device's key anew: the one it has, or another that its identity vouches for. The answer is signed by the
 * gatehouse's identity, so that a device whose authorities have all been left behind can still tell who answers.
 */
export function renewals({ identity, ca, devices, clock }: RenewalParts): DeviceDirectory["renew"] {
  return async ({ deviceId, certificateRequest, nonce, serverSpkiSha256 }, mutation) => {
    const known = devices.get(deviceId);
    const asked = await parseTlsRequest(certificateRequest);
    if (nonce.length !== NONCE_BYTES)
      throw badRequest(`its nonce has ${nonce.length} bytes, not ${NONCE_BYTES}`);
    if (known === undefined || !equalBytes(asked.identityKey, known.identityKey)) {
      throw badRequest("it is not signed by this device's identity");
    }
    const leaf = await ca.issueDevice(asked);
    const caCertificates = ca.certificatesDer;
    const answered = new ByteWriter().prefixed(nonce).prefixed(serverSpkiSha256).prefixed(leaf.der);
    for (const certificate of caCertificates) answered.prefixed(certificate);
    const signature = identity.sign(LABELS.renewal, answered.finish());
    const now = clock.now();
    const { serial, expiresAt, generation } = leaf;
    return await devices.renewed(
      deviceId,
      { spkiSha256: sha256(asked.spki), certificate: { serial, expiresAt, generation }, at: now },
      mutation,
      () => ({ certificate: leaf.der, caCertificates, signature, now }),
    );
  };
}

function badRequest(why: string): GatehouseError<"certificate.bad-request"> {
  return new GatehouseError("certificate.bad-request", `the certificate request does not fit: ${why}`);
}
