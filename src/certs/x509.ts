/** The X.509 library, ready for use: it signs with Node's WebCrypto, and its decorators need their runtime first. */
import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto);

/** ECDSA on P-256 with SHA-256: what BoringSSL, phones' secure hardware and TPMs can do. */
export const SIGNING = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** A P-256 private key for the library, not extractable. `pkcs8` is DER, borrowed. */
export function signingKey(pkcs8: Uint8Array): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey("pkcs8", pkcs8, SIGNING, false, ["sign"]);
}

/** A P-256 public key for the library. `spki` is DER, borrowed. */
export function verifyingKey(spki: Uint8Array): Promise<webcrypto.CryptoKey> {
  return webcrypto.subtle.importKey("spki", spki, SIGNING, true, ["verify"]);
}

export { x509 };
