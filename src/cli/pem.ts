const LINE = /.{1,64}/g;

/** RFC 7468: base64 of `der` in lines of 64 between two labels, a line end included. */
export function pem(label: "CERTIFICATE" | "X509 CRL", der: Uint8Array): string {
  const lines = Buffer.from(der).toString("base64").match(LINE) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
