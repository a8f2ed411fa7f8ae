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

const OBJECT = /^-----BEGIN ([A-Z0-9 ]+)-----\r?\n[A-Za-z0-9+/=\r\n]+-----END \1-----$/;

/** All objects of `pem`, each with this label. @throws RangeError when there is none, or anything else */
export function decodeAllPem(label: "CERTIFICATE" | "PRIVATE KEY", pem: string): readonly Uint8Array[] {
  const objects = pem.trim().split(/(?<=-----END [A-Z ]+-----)\s*/);
  const isWhole = objects.every((object) => OBJECT.exec(object)?.[1] === label);
  if (!isWhole) throw new RangeError(`decodeAllPem: not PEM of ${label}`);
  return objects.map(decodePem);
}
