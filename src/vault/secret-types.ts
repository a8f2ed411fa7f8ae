/** What the vault's face says of secrets. Times are Unix milliseconds. */
import type { FolderPath, SecretPath } from "./secret-path.ts";

/** At most 32; not secret from who may list. */
export type Labels = Readonly<Record<string, string>>;

export interface SecretValue {
  readonly version: number;
  /** The caller's own, to wipe. */
  readonly value: Uint8Array;
  readonly createdAt: number;
  readonly contentType: string;
  /** 0: never. */
  readonly expiresAt: number;
  /** Of the path. */
  readonly labels: Labels;
}

export interface SecretEntry {
  readonly path: SecretPath;
  /** The live version; of a removed path the newest that an undelete would bring back. */
  readonly version: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
  /** 0: never. */
  readonly expiresAt: number;
  readonly labels: Labels;
  readonly isRemoved: boolean;
}

export interface SecretVersion {
  readonly version: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
  /** Device id of who wrote it. */
  readonly createdBy: string;
  readonly isRemoved: boolean;
  /** 0: never. */
  readonly expiresAt: number;
  /** Its value is gone; only the fact remains. */
  readonly isDestroyed: boolean;
}

export interface PutInput {
  readonly path: SecretPath;
  /** At most `LIMITS.secretValueBytes`; borrowed until the answer. */
  readonly value: Uint8Array;
  /** Only if this is the live version; 0: only if there is none. */
  readonly ifVersion?: number;
  /** At most 128 bytes of printable ASCII; `application/octet-stream` when left out or empty. */
  readonly contentType?: string;
  /** From now; `LIMITS.secretTtlMinMs` to `LIMITS.secretTtlMaxMs`; for good when left out. */
  readonly ttlMs?: number;
  /** Replaces the path's; they stay when left out. */
  readonly labels?: Labels;
  readonly createdBy: string;
  /** What may lie below a folder once this is stored; unbounded when left out. */
  readonly quota?: { readonly folder: FolderPath; readonly sizeBytes: number };
}

export interface ListInput {
  /** Everything under this folder; the root when left out. */
  readonly prefix?: FolderPath;
  /** Paths after this one. */
  readonly after?: SecretPath;
  readonly limit: number;
  /** Only paths that have every one of these. */
  readonly labels?: Labels;
  /** What was removed and can be undeleted as well; `live` when left out. */
  readonly show?: "live" | "live-and-removed";
}

export interface DestroyInput {
  readonly path: SecretPath;
  /** Every one that is kept when left out. */
  readonly version?: number;
  /** Only if this is the newest version, removed or not. */
  readonly ifVersion?: number;
}

/** One version of one path. */
export interface VersionName {
  readonly path: SecretPath;
  readonly version: number;
}

export interface SecretsLimits {
  readonly vaultBytes: number;
  readonly secretVersionsKept: number;
}
