import { LABELS, verifyLabelled } from "../crypto/index.ts";

/** Statements by which an identity's Ed25519 key vouches for its other keys. Signatures are 64 bytes. */

export interface TlsBinding {
  /** Raw Ed25519 public key. */
  readonly identityKey: Uint8Array;
  /** SubjectPublicKeyInfo DER of the TLS key. */
  readonly spki: Uint8Array;
  readonly signature: Uint8Array;
}

/** Whether `identityKey` signed the TLS key; never throws. */
export function verifyTlsBinding({ identityKey, spki, signature }: TlsBinding): boolean {
  return verifyLabelled(identityKey, LABELS.tlsBinding, spki, signature);
}

export interface AgreementBinding {
  /** Raw Ed25519 public key. */
  readonly identityKey: Uint8Array;
  /** Raw X25519 public key. */
  readonly agreementKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** Whether `identityKey` signed the agreement key; never throws. */
export function verifyAgreementBinding({ identityKey, agreementKey, signature }: AgreementBinding): boolean {
  return verifyLabelled(identityKey, LABELS.agreementBinding, agreementKey, signature);
}
