import type { KeyObject } from "node:crypto";
import { fromHex } from "../core/index.ts";
import { LABELS, sha256 } from "../crypto/index.ts";
import { deriveKey, type Keyring } from "./keyring.ts";

/** What reads and writes journal and snapshots; can be posted to a worker thread. */
export interface StorageKeys {
  readonly vaultId: string;
  readonly segment: KeyObject;
  readonly group: KeyObject;
  readonly journal: KeyObject;
  readonly snapshot: KeyObject;
}

export function storageKeys(keyring: Pick<Keyring, "root" | "vaultId">): StorageKeys {
  return {
    vaultId: keyring.vaultId,
    segment: deriveKey(keyring, LABELS.vaultJournalSegment),
    group: deriveKey(keyring, LABELS.vaultJournalGroup),
    journal: deriveKey(keyring, LABELS.vaultJournal),
    snapshot: deriveKey(keyring, LABELS.vaultSnapshot),
  };
}

/** Where the journal stands: between two groups. */
export interface JournalPosition {
  /** Of the newest transaction; 0 when none. */
  readonly sequence: number;
  /** Of the newest transaction that carried audit events; 0 when none. */
  readonly auditedSequence: number;
  /** Hash over every group so far. */
  readonly chain: Uint8Array;
}

export function firstPosition(vaultId: string): JournalPosition {
  return { sequence: 0, auditedSequence: 0, chain: sha256(fromHex(vaultId)) };
}
