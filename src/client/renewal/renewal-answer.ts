/**
 * The answer to a renewal, held against what was asked. What the gatehouse's identity signs under `LABELS.renewal`:
 *
 * | bytes | field                                                                     |
 * | ----- | ------------------------------------------------------------------------- |
 * | 4 + n | nonce of the request                                                      |
 * | 4 + n | SHA-256 of the SubjectPublicKeyInfo that the server showed, 32            |
 * | 4 + n | the certificate, DER                                                      |
 * | 4 + n | each authority, DER, newest first                                         |
 */
import { type InspectOptions, inspectLeaf, type LeafFacts } from "../../certs/index.ts";
import {
  ByteWriter,
  copyOf,
  equalBytes,
  GatehouseError,
  LIMITS,
  type UnixMs,
  unixMs,
} from "../../core/index.ts";
import { LABELS, verifyLabelled } from "../../crypto/index.ts";
import type { DeviceId } from "../../identity/index.ts";
import type { Remote, RenewalWish } from "../remotes.ts";

export interface RenewalAnswer {
  readonly certificate: Uint8Array;
  readonly caCertificates: readonly Uint8Array[];
  readonly signature: Uint8Array;
  /** The gatehouse's clock when it first answered. Not signed: worth what the connection is. */
  readonly now: number;
}

export interface RenewalExpectation {
  readonly remote: Pick<Remote, "gatehouseId" | "identityKey">;
  readonly wish: Pick<RenewalWish, "nonce" | "spkiSha256">;
  readonly deviceId: DeviceId;
  /** Of the key that the server showed on this very connection. */
  readonly serverSpkiSha256: Uint8Array;
}

export interface RenewedCertificate {
  readonly certificate: Uint8Array;
  readonly caCertificates: readonly Uint8Array[];
  readonly expiresAt: UnixMs;
}

/**
 * Dates are held against the gatehouse's own clock: whoever signed for the key of this connection says what time it is
 * there, and what this device's clock makes of the certificate is another question. Copies what it answers.
 *
 * @throws quic.wrong-server unless the pinned gatehouse signed exactly this, for exactly this device and key
 */
export function checkedRenewal(answer: RenewalAnswer, expected: RenewalExpectation): RenewedCertificate {
  const { remote, wish, deviceId, serverSpkiSha256 } = expected;
  const { gatehouseId, identityKey } = remote;
  const count = answer.caCertificates.length;
  if (count === 0 || count > LIMITS.pairingCaCertificates)
    throw wrongAnswer("it names no authority, or too many");
  const signed = new ByteWriter()
    .prefixed(wish.nonce)
    .prefixed(serverSpkiSha256)
    .prefixed(answer.certificate);
  for (const authority of answer.caCertificates) signed.prefixed(authority);
  if (!verifyLabelled(identityKey, LABELS.renewal, signed.finish(), answer.signature))
    throw wrongAnswer("the gatehouse that was paired with did not sign it");
  if (!Number.isSafeInteger(answer.now) || answer.now < 0)
    throw wrongAnswer("it does not say what time it is");
  const certificate = copyOf(answer.certificate);
  const caCertificates = answer.caCertificates.map(copyOf);
  const facts = factsOf(certificate, {
    caCertificates,
    gatehouseId,
    usage: "device",
    now: unixMs(answer.now),
  });
  if (facts.deviceId !== deviceId || !equalBytes(facts.spkiSha256, wish.spkiSha256))
    throw wrongAnswer("it certifies another device or key");
  return { certificate, caCertificates, expiresAt: facts.expiresAt };
}

function factsOf(certificate: Uint8Array, options: InspectOptions): LeafFacts {
  try {
    return inspectLeaf([certificate], options);
  } catch (cause) {
    throw wrongAnswer("its certificate is not one that this gatehouse gives a device", cause);
  }
}

function wrongAnswer(why: string, cause?: unknown): GatehouseError<"quic.wrong-server"> {
  return new GatehouseError("quic.wrong-server", `the answer to the renewal does not fit: ${why}`, {
    hint: "somebody may stand between this device and the gatehouse: try again on a network you trust",
    cause,
  });
}
