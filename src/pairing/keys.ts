import { inspectLeaf, parseTlsRequest, spkiOf } from "../certs/index.ts";
import { equalBytes, GatehouseError, type UnixMs } from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import { deviceIdOf } from "../identity/index.ts";
import type { PairingChannel, PairingParty } from "./channel.ts";
import { badMessage, type GrantBody } from "./messages.ts";

/** SHA-256 of a certificate's SubjectPublicKeyInfo. @throws GatehouseError `certificate.malformed`. */
export function tlsKeyHash(certificate: Uint8Array): Uint8Array {
  return sha256(spkiOf(certificate));
}

/**
 * The request must be for the TLS key of this connection and signed by the identity that proved the code.
 * @throws GatehouseError `certificate.bad-request`.
 */
export async function verifyRequest(der: Uint8Array, joiner: PairingParty): Promise<void> {
  const { identityKey, spki } = await parseTlsRequest(der);
  if (!equalBytes(identityKey, joiner.identityKey)) {
    throw new GatehouseError("certificate.bad-request", "the certificate request is another identity's");
  }
  if (!equalBytes(sha256(spki), joiner.tlsKeyHash)) {
    throw new GatehouseError(
      "certificate.bad-request",
      "the certificate request is not for this connection's key",
    );
  }
}

/**
 * The certificate must be ours: for our identity and our TLS key, from the authority of the gatehouse that proved
 * the code.
 * @throws GatehouseError `certificate.*`, `pairing.bad-message`.
 */
export function checkGrant(grant: GrantBody, { joiner, gatehouse }: PairingChannel, now: UnixMs): void {
  const leaf = inspectLeaf([grant.certificate], {
    caCertificates: grant.caCertificates,
    gatehouseId: deviceIdOf(gatehouse.identityKey),
    usage: "device",
    now,
  });
  const ownId = deviceIdOf(joiner.identityKey);
  if (leaf.deviceId !== ownId || grant.deviceId !== ownId)
    throw badMessage("a certificate for another device");
  if (!equalBytes(leaf.spkiSha256, joiner.tlsKeyHash)) throw badMessage("a certificate for another key");
}
