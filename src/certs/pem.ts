/** One DER object between PEM lines (RFC 7468). */
export function encodePem(label: "CERTIFICATE", der: Uint8Array): string {
  const body = Buffer.from(der)
    .toString("base64")
    .replace(/.{1,64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${body}-----END ${label}-----\n`;
}

/** The first object of `pem`; the caller's to wipe. */
export function decodePem(pem: string): Uint8Array {
  const body = /-----BEGIN [A-Z ]+-----([\sA-Za-z0-9+/=]+)-----END/.exec(pem)?.[1];
  if (body === undefined) throw new RangeError("decodePem: no PEM object");
  return new Uint8Array(Buffer.from(body, "base64"));
}
