/**
 * Every call by which a vault changes its files, made to fail by strace: each in turn, alone and with all that follow, as a
 * broken disk (EIO) and as a full one (ENOSPC). Then the vault is opened on a disk that works.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { concat, systemRandom } from "../../src/core/index.ts";
import { keyFileProvider, type VaultState } from "../../src/vault/index.ts";
import { type Note, problemsOf } from "./disk-model.ts";
import { readTree, type Tree, writeTree } from "./disk-tree.ts";
import { Ledger, makeFolders, openTortured } from "./disk-vault.ts";

export interface CallsOptions {
  readonly seed: number;
  /** One call in so many is made to fail. */
  readonly every: number;
  readonly progress: (figures: CallsFigures) => void;
}

export interface CallsFigures {
  /** Calls that change files, in a life without failures. */
  calls: number;
  /** Lives in which one of them failed, or one and all that followed. */
  lives: number;
  /** What came of it, by code; `logged` where only the log said so. */
  readonly outcomes: Record<string, number>;
}

const PROGRAM = fileURLToPath(new URL("programs/disk-caller.ts", import.meta.url));
const CHANGING = [
  ...["openat", "write", "pwrite64", "writev", "pwritev", "fsync", "fdatasync", "fallocate"],
  ...["ftruncate", "truncate", "rename", "renameat", "renameat2", "link", "linkat"],
  ...["unlink", "unlinkat", "mkdir", "mkdirat"],
].join(",");
const ERRORS = ["EIO", "ENOSPC"] as const;
const LIFE_MS = 60_000;
const TOLD_EVERY = 50;
const PROBLEMS_MAX = 20;
/** Shorter than a group's header: a write that was cut short. */
const TORN = new Uint8Array(20).fill(7);

type Part = "life" | "return";

/** One call of a life: the `nth` of its name on these paths. */
interface Call {
  readonly name: string;
  readonly nth: number;
  readonly line: string;
}

interface Line {
  readonly note?: Note;
  readonly failed?: string;
  readonly code?: string;
  readonly logged?: string;
  readonly state?: VaultState;
  readonly ended?: true;
}

export async function hasStrace(): Promise<boolean> {
  const child = spawn("strace", ["--version"], { stdio: "ignore" });
  try {
    const [code]: unknown[] = await once(child, "close");
    return code === 0;
  } catch {
    // There is no such program.
    return false;
  }
}

export async function failCalls(
  options: CallsOptions,
): Promise<{ readonly figures: CallsFigures; readonly problems: readonly string[] }> {
  const dir = await mkdtemp(join(tmpdir(), "gatehouse-disk-"));
  const figures: CallsFigures = { calls: 0, lives: 0, outcomes: {} };
  const problems: string[] = [];
  try {
    for (const part of ["life", "return"] as const) {
      const lives = new Lives(dir, part, part === "life" ? unmade() : await leftWithWork(dir));
      const calls = await lives.calls();
      figures.calls += calls.length;
      for (const [index, call] of calls.entries()) {
        // What fails anyway, such as making a folder that is there, has nothing to lose.
        if ((index + options.seed) % options.every !== 0 || call.line.includes(" = -1 ")) continue;
        for (const error of ERRORS) {
          for (const reach of ["", "+"]) {
            problems.push(...(await lives.fail(call, { error, reach }, figures)));
            if (figures.lives % TOLD_EVERY === 0) options.progress(figures);
            if (problems.length >= PROBLEMS_MAX) return { figures, problems };
          }
        }
      }
    }
    return { figures, problems };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

interface Before {
  readonly tree: Tree;
  readonly notes: readonly Note[];
}

function unmade(): Before {
  return { tree: new Map(), notes: [] };
}

/** A vault whose checkpoint was cut short before its cleaning up, and whose last write was torn. */
async function leftWithWork(dir: string): Promise<Before> {
  const root = join(dir, "before");
  await makeFolders(root);
  const notes: Note[] = [];
  const ledger = new Ledger((note) => notes.push(note));
  const segment = join(root, "vault/journal-0000000001");
  let old: Uint8Array;
  {
    await using opened = await openTortured(root, { kek: keyIn(root) });
    for (const path of ["a", "d", "d"]) await ledger.ask(opened, { what: "put", path });
    old = new Uint8Array(await readFile(segment));
    await opened.vault.store.checkpoint();
    await ledger.ask(opened, { what: "put", path: "a" });
  }
  await writeFile(segment, old, { mode: 0o600 });
  const growing = join(root, "vault/journal-0000000002");
  await writeFile(growing, concat(new Uint8Array(await readFile(growing)), TORN));
  return { tree: await readTree(root), notes };
}

function keyIn(root: string): ReturnType<typeof keyFileProvider> {
  return keyFileProvider({ dir: join(root, "keys"), random: systemRandom });
}

/** The same life again and again, at the same place, so that its calls are the same. */
class Lives {
  readonly #dir: string;
  readonly #part: Part;
  readonly #before: Before;
  #paths: readonly string[] = [];

  constructor(dir: string, part: Part, before: Before) {
    this.#dir = dir;
    this.#part = part;
    this.#before = before;
  }

  get #root(): string {
    return join(this.#dir, "tortured");
  }

  /** @throws Error when the life differs from run to run, or fails by itself. */
  async calls(): Promise<readonly Call[]> {
    const { trace } = await this.#live([]);
    const paths = trace.flatMap((line) => line.match(new RegExp(`${this.#root}[^">]*`, "g")) ?? []);
    this.#paths = [...new Set(paths)];
    const [first, second] = [await this.#counted(), await this.#counted()];
    if (first.map(({ name }) => name).join() !== second.map(({ name }) => name).join())
      throw new Error("a life without failures makes other calls each time");
    return first;
  }

  async fail(
    call: Call,
    { error, reach }: { readonly error: string; readonly reach: string },
    figures: CallsFigures,
  ): Promise<readonly string[]> {
    const injection = `inject=${call.name}:error=${error}:when=${call.nth}${reach}`;
    const { trace, lines } = await this.#live(["-e", injection]);
    figures.lives += 1;
    const found = trace.some((line) => line.includes("(INJECTED)")) ? [] : ["it was not reached"];
    if (!lines.some(({ ended }) => ended)) found.push("the process died of it");
    const said = codesIn(lines);
    for (const code of new Set(said)) figures.outcomes[code] = (figures.outcomes[code] ?? 0) + 1;
    if (said.length === 0) found.push("nobody was told");
    found.push(...stateProblems(call, lines), ...(await this.#openProblems(lines)));
    return found.map((problem) => `${this.#part}, ${error}${reach} at ${call.line}: ${problem}`);
  }

  async #counted(): Promise<readonly Call[]> {
    const { trace, lines } = await this.#live([]);
    if (!lines.some(({ ended }) => ended) || codesIn(lines).length > 0)
      throw new Error(`a life without failures failed: ${JSON.stringify(lines)}`);
    const threads = new Set(trace.map((line) => line.split(" ")[0]));
    if (threads.size > 1) throw new Error("calls come from several threads: they cannot be counted");
    const counts = new Map<string, number>();
    return trace.flatMap((line): readonly Call[] => {
      const name = /^\d+ +(\w+)\(/.exec(line)?.[1];
      if (name === undefined) return [];
      const nth = (counts.get(name) ?? 0) + 1;
      counts.set(name, nth);
      const [, told = ""] = /^\d+ +(.*)$/.exec(line.replaceAll(this.#root, "")) ?? [];
      return [{ name, nth, line: `${told}, number ${nth}` }];
    });
  }

  async #live(
    injection: readonly string[],
  ): Promise<{ readonly trace: readonly string[]; readonly lines: readonly Line[] }> {
    await rm(this.#root, { recursive: true, force: true });
    await mkdir(this.#root, { mode: 0o700 });
    await writeTree(this.#root, this.#before.tree);
    const log = join(this.#dir, "trace");
    const lastId = Math.max(0, ...this.#before.notes.map(({ id }) => id));
    const paths = this.#paths.flatMap((path) => ["-P", path]);
    const tracing = ["-f", "-qq", "-y", "--seccomp-bpf", "-o", log, "-e", `trace=${CHANGING}`];
    const program = [process.execPath, "--import", "tsx", PROGRAM, this.#root, this.#part, String(lastId)];
    const child = spawn("strace", [...tracing, ...paths, ...injection, "--", ...program], {
      // One thread does all calls on files, one after the other, and by system calls: strace counts them by thread.
      env: { ...process.env, UV_THREADPOOL_SIZE: "1", UV_USE_IO_URING: "0" },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: LIFE_MS,
    });
    const [output, complaints] = [textOf(child.stdout), textOf(child.stderr)];
    await once(child, "close");
    const lines = (await output).split("\n").filter((line) => line !== "");
    if (lines.length === 0) throw new Error(`nothing ran under strace: ${await complaints}`);
    const trace = (await readFile(log, "utf8")).split("\n").filter((line) => line !== "");
    return { trace, lines: lines.map((line) => JSON.parse(line)) };
  }

  async #openProblems(lines: readonly Line[]): Promise<readonly string[]> {
    const notes = [...this.#before.notes, ...lines.flatMap(({ note }) => note ?? [])];
    try {
      await using opened = await openTortured(this.#root, { kek: keyIn(this.#root) });
      const problems = await problemsOf(opened, notes);
      const { isBehindAudit } = opened.vault.report;
      const behind = isBehindAudit ? ["it says that acknowledged changes were lost"] : [];
      const after = await new Ledger(() => undefined, 1_000).ask(opened, { what: "put", path: "after/it" });
      return [
        ...problems,
        ...behind,
        ...(after === "done" ? [] : [`it takes no change afterwards: ${after}`]),
      ];
    } catch (failure) {
      return [`it does not open: ${String(failure)}`];
    }
  }
}

/** Everything but success that was said. */
function codesIn(lines: readonly Line[]): readonly string[] {
  const codes = lines.flatMap(({ note, failed, code = "no code" }) => {
    if (failed !== undefined) return [code];
    return note?.kind === "answered" && note.outcome !== "done" ? [note.outcome] : [];
  });
  const isLogged = lines.some(({ logged }) => logged !== undefined);
  return codes.length > 0 || !isLogged ? codes : ["logged"];
}

/** A vault that refused a change, or whose journal did, says that it is read-only and why. */
function stateProblems(call: Call, lines: readonly Line[]): readonly string[] {
  const codes = codesIn(lines);
  const problems = codes.filter((code) => code.startsWith("no code")).map((code) => `an error has ${code}`);
  const state = lines.find((line) => line.state !== undefined)?.state;
  const isJournals = /^(fdatasync|pwrite64)\(\d+<\/vault\/journal-/.test(call.line);
  const isRefusing = codes.some((code) => code === "vault.read-only" || code === "rpc.outcome-unknown");
  if (state === undefined || (!isJournals && !isRefusing)) return problems;
  const isTold = state.kind === "read-only" && state.reason !== "";
  return isTold ? problems : [...problems, "the vault does not say that it is read-only"];
}

async function textOf(stream: AsyncIterable<Buffer>): Promise<string> {
  let text = "";
  for await (const chunk of stream) text += chunk.toString();
  return text;
}
