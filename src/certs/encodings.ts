import { GatehouseError } from "../core/index.ts";
import { encodePem } from "./pem.ts";
import { x509 } from "./x509.ts";

/** PEM of one certificate, for TLS libraries. */
export function certificatePem(der: Uint8Array): string {
  return encodePem("CERTIFICATE", der);
}

/** SubjectPublicKeyInfo of a certificate, DER; nothing else of it is checked. @throws certificate.malformed */
export function spkiOf(der: Uint8Array): Uint8Array {
  try {
    return new Uint8Array(new x509.X509Certificate(der).publicKey.rawData);
  } catch (cause) {
    throw new GatehouseError("certificate.malformed", "the certificate is malformed", { cause });
  }
}
