/**
 * The certificate profile (RFC 5280):
 *
 * | field | authority | leaf |
 * | --- | --- | --- |
 * | key, signature | P-256, ECDSA with SHA-256 | P-256, ECDSA with SHA-256 |
 * | subject | O=Gatehouse, OU=generation N, CN=gatehouse id | empty |
 * | basic constraints, critical | CA, path length 0 | not a CA |
 * | key usage, critical | certificate and CRL signing | digital signature |
 * | extended key usage | none | exactly one: client or server authentication |
 * | name constraints, critical | DNS and URI host `<gatehouse id>.gatehouse.internal` | none |
 * | subject alternative name, critical | none | `spiffe://<gatehouse id>.gatehouse.internal/device/<device id>`; on server leaves also DNS `<gatehouse id>.gatehouse.internal` |
 * | key identifiers | subject | authority |
 *
 * Serial numbers are 16 bytes, positive, 126 of their bits random. Leaves bear no subject key identifier, so that a resumed handshake still fits one datagram.
 */
import type { UnixMs } from "../core/index.ts";
import { type DeviceId, isDeviceId } from "../identity/index.ts";

export const DAY_MS = 86_400_000;
export const CA_LIFETIME_MS = 3_650 * DAY_MS;

export const OID = {
  nameConstraints: "2.5.29.30",
  clientAuthentication: "1.3.6.1.5.5.7.3.2",
  serverAuthentication: "1.3.6.1.5.5.7.3.1",
} as const;

/** DER of what never varies, in hex: contents of object identifiers, then whole elements. */
export const DER = {
  basicConstraints: "551d13",
  keyUsage: "551d0f",
  extendedKeyUsage: "551d25",
  subjectAlternativeName: "551d11",
  authorityKeyIdentifier: "551d23",
  subjectKeyIdentifier: "551d0e",
  nameConstraints: "551d1e",
  /**
   * Our attribute of a certificate request: the identity's public key and its signature over the TLS key. 2.25 followed
   * by UUID 695c0185-7868-41ab-a58b-5bb1902f1a57: the arc joint-iso-itu-t(2) uuid(25) needs no registration.
   */
  identityBinding: "6981d2dc80e1af86c286d7a5c5d6f69981bcb457",

  ecdsaWithSha256: "300a06082a8648ce3d040302",
  /** A P-256 SubjectPublicKeyInfo up to and with the mark of an uncompressed point; 64 bytes follow. */
  p256SpkiStart: "3059301306072a8648ce3d020106082a8648ce3d03010703420004",
  emptyName: "3000",
  notAuthority: "3000",
  authorityWithoutIntermediates: "30060101ff020100",
  digitalSignature: "03020780",
  usage: {
    device: "300a06082b06010505070302",
    server: "300a06082b06010505070301",
  },
} as const;

/** `device`: calls a gatehouse. `server`: is the gatehouse. */
export type LeafUsage = "device" | "server";

export const USAGE_OID = {
  device: OID.clientAuthentication,
  server: OID.serverAuthentication,
} as const satisfies Record<LeafUsage, string>;

/** The DNS name a gatehouse answers to in TLS. */
export function gatehouseHost(gatehouseId: DeviceId): string {
  return `${gatehouseId}.gatehouse.internal`;
}

export function deviceUri(gatehouseId: DeviceId, deviceId: DeviceId): string {
  return `spiffe://${gatehouseHost(gatehouseId)}/device/${deviceId}`;
}

/** Twin of `deviceUri`; undefined for anything but its exact form. */
export function deviceOfUri(gatehouseId: DeviceId, uri: string): DeviceId | undefined {
  const prefix = `spiffe://${gatehouseHost(gatehouseId)}/device/`;
  if (!uri.startsWith(prefix)) return undefined;
  const id = uri.slice(prefix.length);
  return isDeviceId(id) ? id : undefined;
}

/** X.509 dates have whole seconds. */
export function dateOf(at: number | UnixMs): Date {
  return new Date(Math.floor(at / 1_000) * 1_000);
}
