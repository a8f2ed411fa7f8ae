import { GatehouseError } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import type { Peer } from "./peer.ts";

const RECIPIENTS_MAX = 16;

export interface BackupSummary {
  readonly sequence: number;
  readonly sizeBytes: number;
  readonly sha256: Uint8Array;
  readonly recipients: readonly string[];
  /** Unix ms. */
  readonly createdAt: number;
}

/** Makes backups. */
export interface BackupDesk {
  /** Pieces of the file, at most 256 KiB each, then what it is. @throws backup.running, usage.bad-argument, vault.* */
  create(
    recipients: readonly string[],
    signal: AbortSignal,
  ): AsyncIterable<{ readonly bytes: Uint8Array } | { readonly summary: BackupSummary }>;
}

export function backupService(router: Router<Peer>, desk: BackupDesk): void {
  router.handle(METHODS.Backup.Create, ({ recipients }, { signal }) => {
    if (recipients.length > RECIPIENTS_MAX) {
      throw new GatehouseError("usage.bad-argument", `at most ${RECIPIENTS_MAX} recipients at once`);
    }
    return chunks(desk.create(recipients, signal));
  });
}

async function* chunks(pieces: ReturnType<BackupDesk["create"]>) {
  for await (const piece of pieces) {
    if ("bytes" in piece) yield { bytes: piece.bytes };
    else yield { summary: { ...piece.summary, recipients: [...piece.summary.recipients] } };
  }
}
