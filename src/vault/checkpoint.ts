import type { Random } from "../core/index.ts";
import { damaged } from "./damage.ts";
import { Image } from "./image.ts";
import { segmentPath, snapshotPath } from "./layout.ts";
import { loadSegment, loadSnapshot } from "./recovery.ts";
import { type Snapshot, sealSnapshot } from "./snapshot-format.ts";
import { firstPosition, type JournalPosition, type StorageKeys } from "./storage-keys.ts";
import type { VaultFiles } from "./vault-files.ts";

/** Which snapshot to make; can be posted to a worker thread. */
export interface CheckpointTask {
  readonly dir: string;
  readonly keys: StorageKeys;
  /** The newest snapshot, if any. */
  readonly from: number | undefined;
  /** The segment where the new one ends: all segments below it are complete. */
  readonly to: number;
}

/** Makes the snapshot `to`, verified on disk when it settles, and answers where it stands. */
export type Checkpointer = (task: CheckpointTask) => Promise<JournalPosition>;

/**
 * Makes a snapshot from files alone, the way opening does: every checkpoint is a rehearsal of recovery.
 * @throws GatehouseError `vault.damaged`, `file.io`.
 */
export async function makeSnapshot(
  task: CheckpointTask,
  { files, random }: { readonly files: VaultFiles; readonly random: Random },
): Promise<JournalPosition> {
  const { dir, keys, to } = task;
  const snapshot = await replayed(task, files);
  await files.replace(snapshotPath(dir, to), sealSnapshot({ keys, number: to, snapshot, random }));
  // The old snapshot goes once this one is known to open.
  await loadSnapshot({ files, dir, keys }, to);
  return snapshot.position;
}

async function replayed({ dir, keys, from, to }: CheckpointTask, files: VaultFiles): Promise<Snapshot> {
  const input = { files, dir, keys };
  const base = from === undefined ? undefined : await loadSnapshot(input, from);
  using image = await Image.open(base?.image);
  let position = base?.position ?? firstPosition(keys.vaultId);
  for (let number = from ?? 1; number < to; number += 1) {
    const { end } = await loadSegment({ ...input, number, before: position, image });
    if (end.torn !== undefined) {
      throw damaged(segmentPath(dir, number), end.torn.offset, "it ends inside a group");
    }
    position = end.position;
  }
  return { position, image: image.toBytes() };
}
