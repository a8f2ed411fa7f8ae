import { copyOf } from "../core/index.ts";
import { parseCertificate } from "./certificate.ts";
import { decodeAllPem, encodePem } from "./pem.ts";

/** PEM of one certificate, for TLS libraries. */
export function certificatePem(der: Uint8Array): string {
  return encodePem("CERTIFICATE", der);
}

/** DER of the certificates in `pem`, at least one. @throws RangeError when there is none, or anything beside them */
export function certificatesIn(pem: string): readonly Uint8Array[] {
  return decodeAllPem("CERTIFICATE", pem);
}

/** DER of the one PKCS#8 private key in `pem`, the caller's to wipe. @throws RangeError for anything else */
export function keyIn(pem: string): Uint8Array {
  const [key, ...others] = decodeAllPem("PRIVATE KEY", pem);
  if (key === undefined || others.length > 0) throw new RangeError("keyIn: not one private key");
  return key;
}

/** SubjectPublicKeyInfo of a certificate, DER; nothing else of it is checked but its form. @throws certificate.malformed */
export function spkiOf(der: Uint8Array): Uint8Array {
  return copyOf(parseCertificate(der).spki);
}
