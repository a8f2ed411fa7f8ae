import type { UnixMs } from "../core/index.ts";
import type { DeviceId } from "../identity/index.ts";

/** What a gatehouse remembers of a paired device. */
export interface DeviceRow {
  readonly id: DeviceId;
  /** 1 to `LIMITS.deviceNameBytes` bytes; unique among active devices. */
  readonly name: string;
  readonly role: string;
  /** Raw Ed25519 public key, pinned at pairing. */
  readonly identityKey: Uint8Array;
  /** SHA-256 of the TLS key's SubjectPublicKeyInfo, pinned at pairing. */
  readonly spkiSha256: Uint8Array;
  readonly state: "active" | "revoked";
  readonly pairedAt: UnixMs;
  readonly revokedAt: UnixMs | undefined;
  readonly certificateExpiresAt: UnixMs;
  /** Hex. */
  readonly certificateSerial: string;
  /** As the device says of itself: `cli`, `phone`, …; shown, never trusted. */
  readonly kind: string;
  readonly platform: string;
}

/**
 * Where device rows live; the daemon supplies it from the vault. A mutation is on disk, together with its audit event
 * (`audit`: encoded, opaque here), when its promise settles.
 */
export interface DeviceStore {
  list(): readonly DeviceRow[];
  /** Adds, or replaces the row of the same id. */
  put(row: DeviceRow, audit: Uint8Array): Promise<void>;
}
