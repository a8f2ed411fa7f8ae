/**
 * `npm run torture -- disk [calls|replay|flips|all [EVERY [SEED]]]`: what becomes of a vault whose disk fails, loses power or
 * changes a bit. `calls` makes every system call that changes its files fail, `replay` builds every disk that a power loss could
 * have left of a recorded load, `flips` changes a bit at every offset of a small home. EVERY looks at one place in so many;
 * 1, the default, at all.
 *
 * A JSON line for each part, then the verdict; how far it is, on standard error. Ends with 1 when anything was lost, half
 * there, wrong, or not told; with 2 when `calls` has no strace.
 */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { failCalls, hasStrace } from "./disk-calls.ts";
import { flip } from "./disk-flips.ts";
import { replay } from "./disk-replay.ts";

const STEPS = 18;
const RECOVERIES = 8;
const THROUGH_PROGRAM = 50;
/** The short form still has this many through the program. */
const THROUGH_PROGRAM_MIN = 6;
const MEMORY = "/dev/shm";

interface Part {
  readonly figures: object;
  readonly problems: readonly string[];
}

const PARTS: Readonly<Record<string, (scratch: string) => Promise<Part>>> = {
  calls: async () => await failCalls({ seed, every, progress }),
  replay: async (scratch) => {
    const recoveries = Math.ceil(RECOVERIES / every);
    return await replay({ scratch, seed, every, steps: STEPS, recoveries, progress });
  },
  flips: async (scratch) => {
    const throughProgram = Math.max(THROUGH_PROGRAM_MIN, Math.ceil(THROUGH_PROGRAM / every));
    return await flip({ scratch, seed, every, throughProgram, progress });
  },
};

const [, , , part = "all", everyText = "1", seedText = String(Date.now() % 2 ** 32)] = process.argv;
const [every, seed] = [Number(everyText), Number(seedText)];
if (!Number.isInteger(every) || every < 1)
  throw new RangeError(`disk: EVERY is a number from 1, not ${everyText}`);
const chosen = part === "all" ? Object.keys(PARTS) : [part];

if (chosen.some((name) => PARTS[name] === undefined)) {
  process.stderr.write(`disk: unknown: ${part}; there is: ${Object.keys(PARTS).join(", ")}, all\n`);
  process.exitCode = 2;
} else if (chosen.includes("calls") && !(await hasStrace())) {
  process.stderr.write("disk: there is no strace here (Debian: apt-get install strace)\n");
  process.exitCode = 2;
} else {
  process.exitCode = (await run()) ? 0 : 1;
}

async function run(): Promise<boolean> {
  const inMemory = await stat(MEMORY).then(
    () => true,
    () => false,
  );
  const scratch = await mkdtemp(join(inMemory ? MEMORY : tmpdir(), "gatehouse-disk-"));
  const problems: string[] = [];
  try {
    for (const name of chosen) {
      const startedAt = performance.now();
      const done = await PARTS[name]?.(scratch);
      problems.push(...(done?.problems ?? []));
      say({ part: name, ...done?.figures, seconds: Math.round((performance.now() - startedAt) / 1_000) });
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  const verdict = problems.length === 0 ? "passed" : "failed";
  say({ verdict, every, seed, problems: problems.slice(0, 20) });
  return problems.length === 0;
}

function progress(figures: object): void {
  process.stderr.write(`${JSON.stringify(figures)}\n`);
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
