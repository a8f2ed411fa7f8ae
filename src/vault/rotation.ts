import { setImmediate } from "node:timers/promises";
import { type Clock, GatehouseError, type Logger, type Random } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { TERMS_MAX } from "./keyring-format.ts";
import type { LiveKeyring } from "./live-keyring.ts";
import type { Mutation, Mutations } from "./mutations.ts";
import { LAST_KEY, pages } from "./pages.ts";
import { pathOf, planReseal, planRewrap, termOfRecord } from "./rotation-plans.ts";
import { lockOf } from "./secret-records.ts";
import type { VaultStore } from "./store.ts";
import type { Change } from "./transaction.ts";

const { StoredRotation } = gatehouse.v1;

/**
 * `kek`: a new key-encryption key, under which every data key is wrapped anew; values are not touched. `deks`: every kept
 * value is sealed anew under a data key of its own.
 */
export type RotationKind = "kek" | "deks";

export interface RotationProgress {
  readonly kind: RotationKind;
  /** `waiting`: it was cut short, and goes on with `resume`. */
  readonly state: "running" | "waiting" | "done" | "aborted" | "failed";
  /** Versions. */
  readonly done: number;
  /** As counted when it began. */
  readonly total: number;
  /** Unix ms. */
  readonly startedAt: number;
}

export type RotationEnd = RotationProgress & { readonly state: "done" | "aborted" };

export interface RotationWish {
  /** The audit event of its end; it may come after a restart, and then from whoever resumed it. */
  readonly ended: (end: RotationEnd) => Uint8Array;
}

interface Stored {
  readonly kind: RotationKind;
  readonly startedAt: number;
  readonly cursor: string;
  readonly done: number;
  readonly total: number;
}

export interface RotationOwn {
  readonly mutations: Mutations;
  readonly keyring: LiveKeyring;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const KEY = "vault/rotation";
const LOCK = "rotation";
/** Versions a step: some 3 ms of the loop. The door is served between two. */
const STEP_VERSIONS = 32;
/** Bytes of values a step, but for one value that is larger. */
const STEP_BYTES = 262_144;
/** Records looked at between two turns of the loop. */
const SCAN_VERSIONS = 1_000;

/**
 * Rotates keys beside the running vault. How far it is lies in a record that each step commits with its own changes: a crash
 * at any moment costs the step that was not committed. Steps go through the versions in order of their keys, each holding
 * the locks of its paths, so that no change comes between what a step reads and writes; what others write meanwhile is
 * under new keys already.
 */
export class Rotation implements AsyncDisposable {
  readonly #parts: RotationOwn;
  readonly #store: VaultStore;
  readonly #listeners = new Set<() => void>();
  #running: Promise<void> | undefined;
  #stopping: "abort" | "close" | undefined;
  #last: RotationProgress | undefined;

  constructor(parts: RotationOwn) {
    this.#parts = parts;
    this.#store = parts.mutations.store;
  }

  /** The one under way or waiting, else the last one that ended since the vault was opened. */
  get progress(): RotationProgress | undefined {
    const stored = this.#stored();
    if (stored === undefined) return this.#last;
    return progressOf(stored, this.#running === undefined ? "waiting" : "running");
  }

  /**
   * Begins a rotation; settles when it is sure to happen, `finished` when it did. Its audit event rides with its record.
   * @throws GatehouseError `vault.rotating` while one is under way or waiting; `file.io`; as `Mutations.run`.
   */
  async begin(
    kind: RotationKind,
    wish: RotationWish,
    mutation: Mutation<RotationProgress>,
  ): Promise<RotationProgress> {
    const { replay } = mutation;
    if (replay !== undefined) this.#parts.mutations.replies.checkNew(replay);
    if (this.#running !== undefined || this.#stored() !== undefined) throw rotating();
    const { mutations, keyring, clock } = this.#parts;
    // Full of terms that aborted rotations left: then what they left goes to the newest one.
    if (kind === "kek" && keyring.keks.length < TERMS_MAX) await keyring.addTerm();
    const total = await this.#count();
    // Whoever sealed under the old term has handed it to the store before this: when it settles, all of it can be seen.
    const begun = await mutations.run([LOCK], mutation, () => {
      if (this.#stored() !== undefined) throw rotating();
      const stored: Stored = { kind, startedAt: clock.now(), cursor: "", done: 0, total };
      return { changes: [recordOf(stored)], result: progressOf(stored, "running") };
    });
    this.#run(wish);
    return begun;
  }

  /** Goes on with one that was cut short; answers whether there was one. */
  resume(wish: RotationWish): boolean {
    if (this.#running !== undefined || this.#stored() === undefined) return false;
    this.#run(wish);
    return true;
  }

  /**
   * Ends it after the step under way. What is done stays done, what is not stays as good as it was: nothing is lost, and the
   * next rotation takes up all of it. Answers whether there was one.
   */
  async abort(wish: RotationWish): Promise<boolean> {
    if (this.#running !== undefined) {
      this.#stopping = "abort";
      await this.#running;
      return true;
    }
    const stored = this.#stored();
    if (stored === undefined) return false;
    await this.#end(stored, "aborted", wish);
    return true;
  }

  /** When none is under way any more. Never rejects. */
  async finished(): Promise<void> {
    await this.#running;
  }

  /** What it came to, now and after each step, until it ends or `signal` aborts; nothing when there is none. */
  async *watch(signal: AbortSignal): AsyncGenerator<RotationProgress, void, void> {
    for (;;) {
      const { progress } = this;
      if (progress === undefined) return;
      const changed = this.#change(signal);
      yield progress;
      if (progress.state !== "running" || signal.aborted) return;
      await changed;
    }
  }

  /** Stops after the step under way; it goes on with the next `resume`. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping = "close";
    await this.#running;
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const changed = (): void => {
        this.#listeners.delete(changed);
        signal.removeEventListener("abort", changed);
        resolve();
      };
      this.#listeners.add(changed);
      signal.addEventListener("abort", changed, { once: true });
    });
  }

  #run(wish: RotationWish): void {
    this.#stopping = undefined;
    this.#running = this.#steps(wish)
      .catch((failure: unknown) => {
        const stored = this.#stored();
        if (stored !== undefined) this.#last = progressOf(stored, "failed");
        this.#parts.logger.error("vault-rotation-stopped", { cause: String(failure) });
      })
      .finally(() => {
        this.#running = undefined;
        this.#tell();
      });
    this.#tell();
  }

  async #steps(wish: RotationWish): Promise<void> {
    for (;;) {
      const stored = this.#stored();
      if (stored === undefined || this.#stopping === "close") return;
      if (this.#stopping === "abort") return await this.#end(stored, "aborted", wish);
      const keys = this.#next(stored.cursor);
      if (keys.length === 0) return await this.#complete(stored, wish);
      await this.#step(stored, keys);
      this.#tell();
      await setImmediate();
    }
  }

  #next(after: string): readonly string[] {
    const keys: string[] = [];
    let sizeBytes = 0;
    for (const { key, body } of this.#store.list("version", {
      after,
      before: LAST_KEY,
      limit: STEP_VERSIONS,
    })) {
      sizeBytes += body.length + (this.#store.get("value", key)?.body.length ?? 0);
      if (keys.length > 0 && sizeBytes > STEP_BYTES) break;
      keys.push(key);
    }
    return keys;
  }

  async #step(stored: Stored, keys: readonly string[]): Promise<void> {
    const { keyring, random } = this.#parts;
    const parts = { store: this.#store, keyring, random };
    const cursor = keys.at(-1) ?? stored.cursor;
    const locks = new Set(keys.map((key) => lockOf(pathOf(key))));
    await this.#store.transact([...locks, LOCK], () => {
      const changes = stored.kind === "kek" ? planRewrap(parts, keys) : planReseal(parts, keys);
      const next = { ...stored, cursor, done: stored.done + keys.length };
      return { changes: [...changes, recordOf(next)], events: [], result: undefined };
    });
  }

  /** Old terms go when nothing needs them and no older file holds what they open. */
  async #complete(stored: Stored, wish: RotationWish): Promise<void> {
    await this.#store.checkpoint();
    const needed = await this.#termsInUse();
    await this.#parts.keyring.dropTerms((term) => needed.has(term));
    await this.#end(stored, "done", wish);
  }

  async #termsInUse(): Promise<ReadonlySet<number>> {
    const terms = new Set<number>();
    await this.#scan((body) => {
      const term = termOfRecord(body);
      if (term !== undefined) terms.add(term);
    });
    return terms;
  }

  async #count(): Promise<number> {
    return await this.#scan(() => undefined);
  }

  /** Every version, without holding up the loop; answers how many. */
  async #scan(look: (body: Uint8Array) => void): Promise<number> {
    let seen = 0;
    for (const { body } of pages(this.#store, "version")) {
      look(body);
      seen += 1;
      if (seen % SCAN_VERSIONS === 0) await setImmediate();
    }
    return seen;
  }

  async #end(stored: Stored, state: "done" | "aborted", wish: RotationWish): Promise<void> {
    const end = { ...progressOf(stored, state), state };
    // Before its record goes, so that whoever watches never finds neither.
    this.#last = end;
    await this.#store.transact([LOCK], () => ({
      changes: [{ kind: "delete", space: "setting", key: KEY }],
      events: [wish.ended(end)],
      result: undefined,
    }));
  }

  #tell(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #stored(): Stored | undefined {
    const record = this.#store.get("setting", KEY);
    if (record === undefined) return undefined;
    const { kind, startedAt, cursor, done, total } = StoredRotation.decode(record.body);
    return { kind: kind === "deks" ? "deks" : "kek", startedAt, cursor, done, total };
  }
}

function recordOf(stored: Stored): Change {
  return { kind: "put", space: "setting", key: KEY, body: StoredRotation.encode(stored).finish() };
}

function progressOf(
  { kind, startedAt, done, total }: Stored,
  state: RotationProgress["state"],
): RotationProgress {
  // Versions that were put meanwhile are gone through as well.
  return { kind, state, startedAt, done, total: Math.max(done, total) };
}

function rotating(): GatehouseError<"vault.rotating"> {
  return new GatehouseError("vault.rotating", "keys are being rotated already", {
    hint: "wait for it, or end it: gatehouse vault rotate --abort",
  });
}
