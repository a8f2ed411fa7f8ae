import { sha256, signP256, tlsKeyPem, tlsPublicKey } from "../crypto/index.ts";
import type { TlsKey } from "./tls-key-file.ts";

/** A P-256 key, for TLS. */
export interface TlsIdentity {
  /** PKCS#8, for the TLS library alone. */
  readonly privateKeyPem: string;
  /** SubjectPublicKeyInfo DER. */
  readonly spki: Uint8Array;
  /** SHA-256 of `spki`: what the key is known by. */
  readonly spkiSha256: Uint8Array;
  /** The identity key's signature over `spki`; see `verifyTlsBinding`. */
  readonly publicBinding: Uint8Array;
  /** ECDSA with SHA-256, in DER. */
  sign(message: Uint8Array): Uint8Array;
}

/** The private key is made into text only when it is asked for. */
export function tlsIdentityOf({ key, binding }: Pick<TlsKey, "key" | "binding">): TlsIdentity {
  const spki = tlsPublicKey(key);
  return {
    get privateKeyPem() {
      return tlsKeyPem(key);
    },
    spki,
    spkiSha256: sha256(spki),
    publicBinding: binding,
    sign: (message) => signP256(key, message),
  };
}
