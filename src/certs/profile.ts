/**
 * The certificate profile (RFC 5280):
 *
 * | field | authority | leaf |
 * | --- | --- | --- |
 * | key, signature | P-256, ECDSA with SHA-256 | P-256 or Ed25519, ECDSA with SHA-256 |
 * | subject | O=Gatehouse, OU=generation N, CN=gatehouse id | empty |
 * | basic constraints, critical | CA, path length 0 | not a CA |
 * | key usage, critical | certificate and CRL signing | digital signature |
 * | extended key usage | none | exactly one: client or server authentication |
 * | name constraints, critical | DNS and URI host `<gatehouse id>.gatehouse.internal` | none |
 * | subject alternative name, critical | none | `spiffe://<gatehouse id>.gatehouse.internal/device/<device id>`; on server leaves also DNS `<gatehouse id>.gatehouse.internal` |
 * | key identifiers | subject | authority |
 *
 * Serial numbers are 127 random bits. Leaves bear no subject key identifier, so that a resumed handshake still fits one datagram.
 */
import type { UnixMs } from "../core/index.ts";
import { type DeviceId, isDeviceId } from "../identity/index.ts";

export const DAY_MS = 86_400_000;
export const CA_LIFETIME_MS = 3_650 * DAY_MS;

export const OID = {
  basicConstraints: "2.5.29.19",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  nameConstraints: "2.5.29.30",
  subjectAlternativeName: "2.5.29.17",
  authorityKeyIdentifier: "2.5.29.35",
  subjectKeyIdentifier: "2.5.29.14",
  clientAuthentication: "1.3.6.1.5.5.7.3.2",
  serverAuthentication: "1.3.6.1.5.5.7.3.1",
  /**
   * Our attribute of a certificate request: the identity's public key and its signature over the TLS key. An arc under
   * joint-iso-itu-t(2) uuid(25), which needs no registration; it never leaves our own protocol.
   */
  identityBinding: "2.25.1197306440",
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
