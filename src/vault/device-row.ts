/** A paired device as the vault remembers it, and its record. */
import { copyOf } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";

const { StoredDevice } = gatehouse.v1;

/** `held`: the gatehouse was restored from a copy, and its owner has not said yet that the device is still welcome. */
export type DeviceState = "active" | "quarantined" | "held" | "revoked";

export interface DeviceCertificate {
  /** Lower-case hex. */
  readonly serial: string;
  readonly expiresAt: number;
  /** Of the authority that issued it. */
  readonly generation: number;
}

export interface DeviceSight {
  readonly at: number;
  readonly wire: "quic" | "grpc";
  /** IP address. */
  readonly address: string;
}

/** Times in Unix ms. */
export interface DeviceRow {
  /** Canonical device id. */
  readonly id: string;
  readonly name: string;
  /** In alphabetical order. */
  readonly roles: readonly string[];
  /** Name of the user that it belongs to. */
  readonly user: string | undefined;
  /** 32 bytes, pinned for good. */
  readonly identityKey: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo of the TLS key in use, pinned. */
  readonly spkiSha256: Uint8Array;
  /** The same of a key that a renewal certified and that was not used yet. */
  readonly nextSpkiSha256: Uint8Array | undefined;
  readonly state: DeviceState;
  readonly pairedAt: number;
  readonly quarantinedAt: number | undefined;
  readonly heldAt: number | undefined;
  readonly revokedAt: number | undefined;
  /** That have not run out, or ran out last; newest last, at least one. */
  readonly certificates: readonly DeviceCertificate[];
  /** Until then it may come in with an expired certificate, to renew it. */
  readonly readmittedUntil: number | undefined;
  /** As it was last written down. */
  readonly lastSeen: DeviceSight | undefined;
  readonly kind: string;
  readonly platform: string;
}

/** The newest certificate of a device. */
export function newestCertificate({ certificates }: Pick<DeviceRow, "certificates">): DeviceCertificate {
  return certificates.at(-1) ?? { serial: "", expiresAt: 0, generation: 0 };
}

export function encodeDevice(row: DeviceRow): Uint8Array {
  const { lastSeen, certificates, roles } = row;
  return StoredDevice.encode({
    ...{ name: row.name, kind: row.kind, platform: row.platform, pairedAt: row.pairedAt },
    ...{ identityKey: row.identityKey, spkiSha256: row.spkiSha256, roles: [...roles] },
    user: row.user ?? "",
    nextSpkiSha256: row.nextSpkiSha256 ?? new Uint8Array(0),
    quarantinedAt: row.quarantinedAt ?? 0,
    heldAt: row.heldAt ?? 0,
    revokedAt: row.revokedAt ?? 0,
    certificates: [...certificates],
    readmittedUntil: row.readmittedUntil ?? 0,
    lastSeenAt: lastSeen?.at ?? 0,
    lastWire: lastSeen?.wire ?? "",
    lastAddress: lastSeen?.address ?? "",
  }).finish();
}

export function decodeDevice(id: string, body: Uint8Array): DeviceRow {
  const device = StoredDevice.decode(body);
  const { name, roles, kind, platform, pairedAt, nextSpkiSha256 } = device;
  return {
    ...{ id, name, roles: [...roles], kind, platform, pairedAt, state: stateOf(device) },
    user: device.user === "" ? undefined : device.user,
    identityKey: copyOf(device.identityKey),
    spkiSha256: copyOf(device.spkiSha256),
    nextSpkiSha256: nextSpkiSha256.length === 0 ? undefined : copyOf(nextSpkiSha256),
    quarantinedAt: timeOf(device.quarantinedAt),
    heldAt: timeOf(device.heldAt),
    revokedAt: timeOf(device.revokedAt),
    certificates: device.certificates.map(({ serial, expiresAt, generation }) => ({
      serial: serial ?? "",
      expiresAt: expiresAt ?? 0,
      generation: generation ?? 0,
    })),
    readmittedUntil: timeOf(device.readmittedUntil),
    lastSeen: sightOf(device),
  };
}

type Stored = ReturnType<typeof StoredDevice.decode>;

function stateOf({ quarantinedAt, heldAt, revokedAt }: Stored): DeviceState {
  if (revokedAt !== 0) return "revoked";
  if (quarantinedAt !== 0) return "quarantined";
  return heldAt === 0 ? "active" : "held";
}

function sightOf({ lastSeenAt, lastWire, lastAddress }: Stored): DeviceSight | undefined {
  if (lastSeenAt === 0) return undefined;
  return { at: lastSeenAt, wire: lastWire === "grpc" ? "grpc" : "quic", address: lastAddress };
}

function timeOf(at: number): number | undefined {
  return at === 0 ? undefined : at;
}
