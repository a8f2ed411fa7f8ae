import { GatehouseError } from "../core/index.ts";
import { formatBytes } from "./failures.ts";
import type { PutInput } from "./secret-types.ts";
import { recordBytes, type VaultStore } from "./store.ts";
import type { Change, Space } from "./transaction.ts";

/** Everything that more secrets make more of. */
const COUNTED: readonly Space[] = ["secret", "version", "value", "expiry"];
/** Of those, whose keys begin with the path. */
const BY_PATH: readonly Space[] = ["secret", "version", "value"];

/** What one record adds or frees, and the two segments at the top of its path. */
interface Cost {
  readonly folder: string | undefined;
  readonly bytes: number;
}

/** Bytes of the secrets' records, on disk and on their way there: all of them, and those of folders that have a quota. */
export class SecretUsage {
  readonly #store: VaultStore;
  readonly #maxBytes: number;
  /** Counted when a quota is first asked for, and kept up from then on. */
  readonly #folders = new Map<string, number>();
  #usedBytes: number;

  constructor(store: VaultStore, maxBytes: number) {
    this.#store = store;
    this.#maxBytes = maxBytes;
    this.#usedBytes = COUNTED.reduce((sum, space) => sum + store.sizeOf(space), 0);
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /**
   * Counts changes from when they are planned, so that puts side by side cannot overfill together; what they free counts
   * once they are stored. `run` calls `plan` where the records that it reads cannot change before its own changes
   * are stored.
   * @throws GatehouseError `vault.full` by the tally, when `bound` is `limited` and the changes do not fit.
   */
  async counted<Result>(
    bound: "limited" | "unlimited",
    run: (tally: (changes: readonly Change[]) => void) => Promise<Result>,
  ): Promise<Result> {
    let added: readonly Cost[] = [];
    let freed: readonly Cost[] = [];
    try {
      const result = await run((changes) => {
        const counted = changes.filter(({ space }) => COUNTED.includes(space));
        const costs = counted.flatMap(costOf);
        if (bound === "limited") this.#checkFits(sumOf(costs));
        freed = this.#replacedBy(counted);
        added = costs;
        this.#shift(costs, 1);
      });
      this.#shift(freed, -1);
      return result;
    } catch (failure) {
      this.#shift(added, -1);
      throw failure;
    }
  }

  /**
   * For the plan of a put, before its tally. The folder is one of two segments.
   * @throws GatehouseError `vault.full` when more would lie there than the quota.
   */
  checkQuota({ folder, sizeBytes }: NonNullable<PutInput["quota"]>, changes: readonly Change[]): void {
    const used = this.#folders.get(folder) ?? this.#sizeBelow(folder);
    this.#folders.set(folder, used);
    const added = sumOf(changes.flatMap(costOf).filter((cost) => cost.folder === folder));
    if (used + added <= sizeBytes) return;
    throw new GatehouseError("vault.full", `at most ${formatBytes(sizeBytes)} may lie in ${folder}`, {
      hint: "destroy what is no longer needed; the gatehouse's owner sets limits.own_folder",
    });
  }

  #sizeBelow(folder: string): number {
    // The character after the slash: all that begins with the folder and a slash lies between.
    const range = { after: `${folder}/`, before: `${folder}0` };
    return BY_PATH.reduce((sum, space) => sum + this.#store.sizeOf(space, range), 0);
  }

  #shift(costs: readonly Cost[], sign: 1 | -1): void {
    for (const { folder, bytes } of costs) {
      this.#usedBytes += sign * bytes;
      const used = folder === undefined ? undefined : this.#folders.get(folder);
      if (folder !== undefined && used !== undefined) this.#folders.set(folder, used + sign * bytes);
    }
  }

  #checkFits(addedBytes: number): void {
    if (this.#usedBytes + addedBytes <= this.#maxBytes) return;
    throw new GatehouseError("vault.full", `the vault holds at most ${formatBytes(this.#maxBytes)}`, {
      hint: "destroy what is no longer needed, or raise the vault's limit",
    });
  }

  #replacedBy(changes: readonly Change[]): readonly Cost[] {
    return changes.flatMap(({ space, key }) => {
      const body = this.#store.get(space, key)?.body;
      return body === undefined ? [] : costOf({ kind: "put", space, key, body });
    });
  }
}

function costOf(change: Change): readonly Cost[] {
  if (change.kind !== "put") return [];
  return [
    { folder: BY_PATH.includes(change.space) ? topOf(change.key) : undefined, bytes: recordBytes(change) },
  ];
}

function topOf(key: string): string {
  const second = key.indexOf("/", key.indexOf("/") + 1);
  return second === -1 ? key : key.substring(0, second);
}

function sumOf(costs: readonly Cost[]): number {
  return costs.reduce((sum, { bytes }) => sum + bytes, 0);
}
