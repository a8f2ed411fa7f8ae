import { copyOf } from "../core/index.ts";
import { parseCertificate } from "./certificate.ts";
import { encodePem } from "./pem.ts";

/** PEM of one certificate, for TLS libraries. */
export function certificatePem(der: Uint8Array): string {
  return encodePem("CERTIFICATE", der);
}

/** SubjectPublicKeyInfo of a certificate, DER; nothing else of it is checked but its form. @throws certificate.malformed */
export function spkiOf(der: Uint8Array): Uint8Array {
  return copyOf(parseCertificate(der).spki);
}
