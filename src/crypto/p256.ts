import { createECDH, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { type Random, systemRandom } from "../core/index.ts";
import { pkcs8OfKey, privateKeyFromPkcs8, spkiOfKey } from "./encodings.ts";

/** ECDSA on P-256 with SHA-256 (FIPS 186-5), for TLS: signatures in DER, keys as PKCS#8 and SubjectPublicKeyInfo. */

const CURVE = "prime256v1";

/** A new key; its scalar is drawn from `random` until one lies below the group's order. */
export function generateTlsKey(random: Random = systemRandom): KeyObject {
  const ecdh = createECDH(CURVE);
  for (;;) {
    const scalar = random.bytes(32);
    try {
      ecdh.setPrivateKey(scalar);
    } catch {
      continue;
    } finally {
      scalar.fill(0);
    }
    return fromEcdh(ecdh.getPrivateKey(), ecdh.getPublicKey());
  }
}

/** @throws RangeError unless `pkcs8` is the DER of a P-256 private key. Borrows it. */
export function importTlsKey(pkcs8: Uint8Array): KeyObject {
  const key = privateKeyFromPkcs8(pkcs8, "ec");
  if (key.asymmetricKeyDetails?.namedCurve !== CURVE) throw new RangeError("not a P-256 private key");
  return key;
}

/** PKCS#8 DER; the caller's to wipe. */
export function exportTlsKey(key: KeyObject): Uint8Array {
  return pkcs8OfKey(key);
}

/** PKCS#8 PEM, as TLS libraries take it. */
export function tlsKeyPem(key: KeyObject): string {
  return key.export({ format: "pem", type: "pkcs8" }).toString();
}

/** SubjectPublicKeyInfo DER, uncompressed point: 91 bytes. */
export function tlsPublicKey(key: KeyObject): Uint8Array {
  return spkiOfKey(key);
}

export function signP256(key: KeyObject, message: Uint8Array): Uint8Array {
  return new Uint8Array(sign("sha256", message, key));
}

/** The public key that `spki` (DER) encodes; `undefined` unless it is on P-256. Twice as dear as a verification: keep it. */
export function importTlsPublicKey(spki: Uint8Array): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
    return key.asymmetricKeyDetails?.namedCurve === CURVE ? key : undefined;
  } catch {
    return undefined;
  }
}

/** False for anything that is not a good P-256 signature, malformed input included; never throws. */
export function verifyP256(
  spki: Uint8Array | KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = spki instanceof Uint8Array ? importTlsPublicKey(spki) : spki;
  if (key === undefined) return false;
  try {
    return verify("sha256", message, key, signature);
  } catch {
    return false;
  }
}

function fromEcdh(scalar: Buffer, point: Buffer): KeyObject {
  const jwk = {
    kty: "EC",
    crv: "P-256",
    d: leftPadded(scalar).toString("base64url"),
    x: point.subarray(1, 33).toString("base64url"),
    y: point.subarray(33, 65).toString("base64url"),
  };
  return createPrivateKey({ key: jwk, format: "jwk" });
}

function leftPadded(scalar: Buffer): Buffer {
  return Buffer.concat([Buffer.alloc(32 - scalar.length), scalar]);
}
