/** The X.509 library, ready for use: it signs with Node's WebCrypto, and its decorators need their runtime first. */
import { webcrypto } from "node:crypto";
import { createRequire } from "node:module";
import type * as X509 from "@peculiar/x509";

let loaded: typeof X509 | undefined;

/** Loaded when something is first made: its hundred modules would cost every command a fifth of a second. */
export function loadX509(): typeof X509 {
  if (loaded !== undefined) return loaded;
  const require = createRequire(import.meta.url);
  require("reflect-metadata");
  const library = require("@peculiar/x509") as typeof X509;
  library.cryptoProvider.set(webcrypto);
  loaded = library;
  return library;
}

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

export type { X509 };
