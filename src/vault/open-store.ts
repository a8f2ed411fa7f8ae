import { type Clock, GatehouseError, LIMITS, type Logger, type Random, Resources } from "../core/index.ts";
import type { AuditSink } from "./audit-sink.ts";
import type { Checkpointer } from "./checkpoint.ts";
import { type CheckpointLimits, CheckpointSchedule } from "./checkpoint-schedule.ts";
import { damaged } from "./damage.ts";
import { Journal } from "./journal.ts";
import type { Keyring } from "./keyring.ts";
import { parseFolder, segmentPath } from "./layout.ts";
import { type Recovered, recover } from "./recovery.ts";
import { SqlStore } from "./sql-store.ts";
import { storageKeys } from "./storage-keys.ts";
import type { VaultFiles } from "./vault-files.ts";

/** What opening found and did. */
export interface StartupReport {
  /** The snapshot it began from, if there was one. */
  readonly snapshot: number | undefined;
  /** Transactions replayed from the journal. */
  readonly replayed: number;
  /** Bytes of an unfinished write cut from the journal's end. */
  readonly cutBytes: number;
  /** The audit log knew of transactions in what was cut: acknowledged changes were lost with the file's end. */
  readonly isBehindAudit: boolean;
  /** Transactions whose events the audit log had not got before. */
  readonly handedOver: number;
}

export interface OpenStoreInput {
  readonly files: VaultFiles;
  readonly dir: string;
  readonly keyring: Keyring;
  readonly random: Random;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly audit: AuditSink;
  readonly checkpointer: Checkpointer;
  readonly limits: CheckpointLimits;
}

/**
 * Verifies everything first, then changes what is needed: cuts an unfinished write, tells the audit log what it
 * missed, removes what a cut-short checkpoint left.
 * @throws GatehouseError `vault.damaged`, `audit.damaged`: nothing was changed.
 */
export async function openStore(
  input: OpenStoreInput,
): Promise<{ readonly store: SqlStore; readonly report: StartupReport }> {
  const { files, dir, random, audit } = input;
  const keys = storageKeys(input.keyring);
  const folder = parseFolder(await files.list(dir));
  const heardThrough = audit.lastJournalSequence;
  const recovered = await recover({ files, dir, keys, folder, heardThrough });
  await using resources = new Resources();
  resources.use(recovered.image);
  checkAgainstAudit(dir, recovered, heardThrough);
  const context = { files, dir, keys, random };
  const { segment: number, position, sizeBytes } = recovered;
  const cutBytes = await lengthOfTail(files, dir, recovered);
  const journal = resources.use(await Journal.open(context, { number, position, sizeBytes }));
  for (const { sequence, events } of recovered.transactions) await audit.committed(sequence, events);
  if (recovered.stale.length > 0) {
    await audit.sync();
    for (const path of recovered.stale) await files.remove(path);
  }
  const checkpoints = new CheckpointSchedule(
    { ...input, keys, journal },
    {
      ...{ snapshot: recovered.snapshot, replayed: recovered.replayed },
      earlierBytes: recovered.journalBytes - sizeBytes,
    },
  );
  const { image } = recovered;
  const sequence = Math.max(position.sequence, heardThrough);
  const store = new SqlStore({ ...input, image, journal, checkpoints, sequence });
  resources.move();
  const report = reportOf(recovered, { cutBytes, heardThrough });
  logReport(input.logger, report, folder.strangers.length);
  return { store, report };
}

/**
 * The audit log is never ahead of the journal, except by what a cut tail took along: one group at most, or cutting
 * the file would be a way to roll the vault back unnoticed. And it holds whatever the journal no longer does.
 */
function checkAgainstAudit(dir: string, recovered: Recovered, heardThrough: number): void {
  const { torn, position, oldest, segment, sizeBytes } = recovered;
  const couldHold = position.sequence + LIMITS.vaultPendingMutations;
  const through = torn === undefined ? position.sequence : (torn.lastSequence ?? couldHold);
  if (heardThrough > through) {
    throw damaged(segmentPath(dir, segment), sizeBytes, "it ends before changes that the audit log knows of");
  }
  if (heardThrough < oldest.auditedSequence) {
    throw new GatehouseError("audit.damaged", "the audit log lacks events of changes that the vault holds", {
      hint: "nothing was changed; restore the audit log from a backup of the same time as the vault",
    });
  }
}

async function lengthOfTail(
  files: VaultFiles,
  dir: string,
  { segment, sizeBytes, torn }: Recovered,
): Promise<number> {
  if (torn === undefined) return 0;
  return (await files.read(segmentPath(dir, segment))).length - sizeBytes;
}

function reportOf(
  { snapshot, replayed, position, transactions }: Recovered,
  { cutBytes, heardThrough }: { readonly cutBytes: number; readonly heardThrough: number },
): StartupReport {
  const isBehindAudit = heardThrough > position.sequence;
  return { snapshot, replayed, cutBytes, isBehindAudit, handedOver: transactions.length };
}

function logReport(logger: Logger, report: StartupReport, strangers: number): void {
  logger.info("vault-open", { ...report });
  if (report.isBehindAudit) logger.error("vault-behind-audit", { cutBytes: report.cutBytes });
  if (strangers > 0) logger.warn("vault-strange-files", { count: strangers });
}
