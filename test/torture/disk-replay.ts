/**
 * A recorded load, and every disk that a power loss could have left at every moment of it: each is opened, compared with what
 * was acknowledged by then, written to and opened again. Some of them are recorded while they recover, and the same is done
 * to that recording: power fails once more. A seed asks for the same changes and tears at the same places; which changes share a
 * write is up to the machine.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { isGatehouseError } from "../../src/core/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { type Note, type Opened, problemsOf } from "./disk-model.ts";
import { type Recording, record } from "./disk-recorder.ts";
import { type Disk, disksAfter, type LeftDisk, sureAt } from "./disk-states.ts";
import { type Tree, writeTree } from "./disk-tree.ts";
import { givenKey, Ledger, makeFolders, openTortured } from "./disk-vault.ts";

export interface ReplayOptions {
  /** A folder whose syncs cost little. */
  readonly scratch: string;
  readonly seed: number;
  /** Changes each of the writers asks for. */
  readonly steps: number;
  /** One moment in so many is looked at. */
  readonly every: number;
  /** Disks whose recovery is recorded too. */
  readonly recoveries: number;
  /** Syncs of that kind are taken for nothing, as a disk does that lies: what that loses must be found. */
  readonly ignores?: "sync" | "sync-folder";
  readonly progress?: (figures: ReplayFigures) => void;
}

export interface ReplayFigures {
  /** Calls that were recorded, notes left out. */
  calls: number;
  /** Places in the recordings where power failed, and the disks this could have left. */
  moments: number;
  disks: number;
  /** Of the disks: the journal ended inside a write, which was cut. */
  cut: number;
  /** Of the disks: files with holes, of which the vault's journal or the audit log were refused as damaged. */
  holed: number;
  refusedVault: number;
  refusedAudit: number;
  /** Recoveries that were themselves cut short. */
  recoveries: number;
}

export interface Replayed {
  readonly figures: ReplayFigures;
  readonly problems: readonly string[];
}

const WRITERS = 3;
const PATHS = 2;
const JOURNAL_TRANSACTIONS = 12;
const TOLD_EVERY = 500;
const PROBLEMS_MAX = 20;
/** One disk in so many is written to afterwards, and opened once more. */
const USED_EVERY = 3;

/** Something that can be made to lose power: a recording, and what had been asked before it began. */
interface Trial {
  readonly name: string;
  readonly recording: Recording<Note>;
  readonly before: readonly Note[];
}

export async function replay(options: ReplayOptions): Promise<Replayed> {
  const run = new Replay(options);
  await run.all();
  return { figures: run.figures, problems: run.problems };
}

class Replay {
  readonly figures: ReplayFigures = {
    ...{ calls: 0, moments: 0, disks: 0, cut: 0 },
    ...{ holed: 0, refusedVault: 0, refusedAudit: 0, recoveries: 0 },
  };
  readonly problems: string[] = [];
  readonly #options: ReplayOptions;
  readonly #random: SeededRandom;
  /** Disks whose recovery has much to do: a torn end, or files that a checkpoint left. */
  readonly #laborious: { readonly disk: Disk; readonly notes: readonly Note[]; readonly name: string }[] = [];

  constructor(options: ReplayOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed);
  }

  async all(): Promise<void> {
    await this.#judge({ name: "load", recording: await this.#recordLoad(), before: [] });
    const chosen = [...this.#laborious];
    for (let count = 0; count < this.#options.recoveries && chosen.length > 0; count += 1) {
      const [from] = chosen.splice(Math.floor(this.#random.next() * chosen.length), 1);
      if (from === undefined) break;
      this.figures.recoveries += 1;
      await this.#judge({
        name: `recovery from ${from.name}`,
        recording: await this.#recordRecovery(from.disk, from.notes),
        before: from.notes,
      });
    }
  }

  async #judge({ name, recording, before }: Trial): Promise<void> {
    const sure = sureAt(recording, this.#options.ignores);
    const { entries } = recording;
    this.figures.calls += entries.filter(({ kind }) => kind !== "note").length;
    for (let length = 0; length <= entries.length; length += 1) {
      const last = entries[length - 1];
      // After a question the disk is as before, and more is allowed.
      if (last?.kind === "note" && last.note.kind === "asked") continue;
      if (length % this.#options.every !== 0) continue;
      this.figures.moments += 1;
      const notes = [...before, ...notesIn(entries.slice(0, length))];
      for (const left of disksAfter(recording, { length, sure }, this.#random)) {
        const found = await this.#judgeDisk(left, notes, `${name}, entry ${length}, ${left.how}`);
        const gone = goneBy(recording, length, left.disk);
        this.#report(
          [...found, ...gone].map((problem) => `${name}, entry ${length}, ${left.how}: ${problem}`),
        );
        if (this.problems.length >= PROBLEMS_MAX) return;
      }
    }
  }

  #report(problems: readonly string[]): void {
    this.problems.push(...problems);
    this.figures.disks += 1;
    if (this.figures.disks % TOLD_EVERY === 0) this.#options.progress?.(this.figures);
  }

  async #judgeDisk(
    { disk, isHoled }: LeftDisk,
    notes: readonly Note[],
    name: string,
  ): Promise<readonly string[]> {
    await using place = await Place.of(this.#options.scratch, disk);
    if (isHoled) this.figures.holed += 1;
    try {
      return await this.#judgePlace(place, { disk, notes, name });
    } catch (failure) {
      const isVaults = isGatehouseError(failure, "vault.damaged");
      const isRefused = isVaults || isGatehouseError(failure, "audit.damaged");
      if (!isHoled || !isRefused) return [`it does not open: ${String(failure)}`];
      this.figures[isVaults ? "refusedVault" : "refusedAudit"] += 1;
      return [];
    }
  }

  async #judgePlace(
    { root }: Place,
    { disk, notes, name }: { readonly disk: Disk; readonly notes: readonly Note[]; readonly name: string },
  ): Promise<readonly string[]> {
    const all = [...notes];
    const problems: string[] = [];
    {
      await using opened = await openTortured(root);
      problems.push(...(await problemsOf(opened, all)), ...(await reportProblems(root, disk, opened)));
      if (opened.vault.report.cutBytes > 0) this.figures.cut += 1;
      this.#noteLaborious(opened, { disk, notes, name });
      if (this.figures.disks % USED_EVERY !== 0) return problems;
      const ledger = new Ledger((note) => all.push(note), lastIdOf(notes));
      const outcome = await ledger.ask(opened, { what: "put", path: "after/it" });
      if (outcome !== "done") problems.push(`it takes no change afterwards: ${outcome}`);
    }
    await using again = await openTortured(root);
    return [...problems, ...(await problemsOf(again, all))];
  }

  #noteLaborious(
    { vault }: Opened,
    from: { readonly disk: Disk; readonly notes: readonly Note[]; readonly name: string },
  ): void {
    const count = [...from.disk.keys()].filter((path) => /journal-|snapshot-/.test(path)).length;
    if (vault.report.cutBytes > 0 && count > 2) this.#laborious.push(from);
  }

  async #recordLoad(): Promise<Recording<Note>> {
    await using place = await Place.of(this.#options.scratch, new Map());
    return await record<Note>(place.root, new Map(), async (note) => {
      const ledger = new Ledger(note);
      await using opened = await openTortured(place.root, { journalTransactions: JOURNAL_TRANSACTIONS });
      await Promise.all(Array.from({ length: WRITERS }, (_, writer) => this.#write(opened, ledger, writer)));
      await opened.vault.keys.addSlot(givenKey, 0);
      await this.#write(opened, ledger, WRITERS);
    });
  }

  async #write(opened: Opened, ledger: Ledger, writer: number): Promise<void> {
    const random = new SeededRandom(this.#options.seed + 1 + writer);
    for (let step = 0; step < this.#options.steps; step += 1) {
      const path = `writer/${writer}/${step % PATHS}`;
      const chance = random.next();
      const what = step < PATHS || chance < 0.75 ? "put" : chance < 0.88 ? "remove" : "destroy";
      await ledger.ask(opened, { what, path });
    }
  }

  async #recordRecovery(disk: Disk, notes: readonly Note[]): Promise<Recording<Note>> {
    await using place = await Place.of(this.#options.scratch, disk);
    const base = bytesOf(disk);
    return await record<Note>(place.root, base, async (note) => {
      const ledger = new Ledger(note, lastIdOf(notes));
      await using opened = await openTortured(place.root);
      for (const path of ["writer/0/0", "later"]) await ledger.ask(opened, { what: "put", path });
      await ledger.ask(opened, { what: "destroy", path: "later" });
      await ledger.ask(opened, { what: "put", path: "later" });
    });
  }
}

/** A folder with a disk's files in it, gone when it is disposed of. */
class Place implements AsyncDisposable {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async of(scratch: string, disk: Disk): Promise<Place> {
    const root = await mkdtemp(join(scratch, "disk-"));
    await makeFolders(root);
    await writeTree(root, bytesOf(disk));
    return new Place(root);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

function bytesOf(disk: Disk): Tree {
  return new Map([...disk].map(([path, { bytes }]) => [path, bytes]));
}

function notesIn(entries: Recording<Note>["entries"]): readonly Note[] {
  return entries.flatMap((entry) => (entry.kind === "note" ? [entry.note] : []));
}

function lastIdOf(notes: readonly Note[]): number {
  return Math.max(0, ...notes.map(({ id }) => id));
}

/** What the report says was cut is what is gone from the file; and nothing that was acknowledged is missing at its end. */
async function reportProblems(root: string, disk: Disk, { vault }: Opened): Promise<readonly string[]> {
  const { cutBytes, isBehindAudit } = vault.report;
  const problems = isBehindAudit ? ["it says that acknowledged changes were lost with the file's end"] : [];
  const name = (await readdir(join(root, "vault")))
    .filter((each) => each.startsWith("journal-"))
    .sort()
    .at(-1);
  const path = `vault/${name ?? ""}`;
  const missing = (disk.get(path)?.bytes.length ?? 0) - (await readFile(join(root, path))).length;
  // A vault that had only begun to be made has its first segment written anew.
  const isExpected = missing === cutBytes || (!disk.has("vault/header") && cutBytes === 0);
  return isExpected
    ? problems
    : [...problems, `it says that ${cutBytes} bytes were cut, and ${missing} are gone`];
}

/** Files that held what was destroyed, and are back although the destruction had been acknowledged. */
function goneBy({ base, entries }: Recording<Note>, length: number, disk: Disk): readonly string[] {
  const names = new Map([...base.keys()].map((path, file) => [path, file]));
  const alive = new Set<string>();
  const held = new Map<number, readonly number[]>();
  const gone = new Set<number>();
  for (const entry of entries.slice(0, length)) {
    if (entry.kind === "name") names.set(entry.path, entry.file);
    else if (entry.kind === "no-name") names.delete(entry.path);
    if (entry.kind !== "note") continue;
    const { note } = entry;
    if (note.kind === "answered") {
      for (const file of note.outcome === "done" ? (held.get(note.id) ?? []) : []) gone.add(file);
    } else if (note.step.what === "put") {
      alive.add(note.step.path);
    } else if (note.step.what === "destroy" && alive.delete(note.step.path)) {
      // Of a path that was destroyed before, nothing is left to go.
      const stored = [...names].filter(([path]) => /journal-|snapshot-/.test(path));
      held.set(
        note.id,
        stored.map(([, file]) => file),
      );
    }
  }
  return [...disk].flatMap(([path, { file }]) =>
    gone.has(file) ? [`${path} holds what was destroyed`] : [],
  );
}
