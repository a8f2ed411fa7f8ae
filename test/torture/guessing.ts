/**
 * A stranger guesses codes of three digits, window after window, through the real pairing machine: its success must be
 * what one guess a window is worth, at whatever message it stops before it shows a tag.
 */
import { Guesser, type Siege, STOPS } from "../pairing/guesser.ts";

const [, windowsText = "100000", seedText = "1"] = process.argv.slice(2);
const windows = Number(windowsText);
const seed = Number(seedText);
if (!Number.isSafeInteger(windows) || windows < STOPS.length)
  throw new RangeError(`not a count: ${windowsText}`);

/** A figure of an honest machine lies outside once in 2 000 runs, a little more often where successes are few. */
const DEVIATIONS = 3.5;
const CHANCE = 1 / 1_000;
const PROGRESS_EVERY = 5_000;

const startedMs = performance.now();
const guesser = await Guesser.create(seed);
const sieges: Siege[] = [];
for (let index = 0; index < windows; index += 1) {
  sieges.push(await guesser.besiege(STOPS[index % STOPS.length] ?? "any"));
  if (sieges.length % PROGRESS_EVERY === 0) process.stderr.write(`${sieges.length} windows\n`);
}
const seconds = (performance.now() - startedMs) / 1_000;

const rows = [
  ...STOPS.map((stop) =>
    report(
      stop,
      sieges.filter((siege) => siege.stop === stop),
    ),
  ),
  report("all", sieges),
];
const mostJudged = sieges.reduce((most, { judged }) => Math.max(most, judged), 0);
process.stdout.write(`stops after           windows  connections  taken  expected\n`);
for (const { line } of rows) process.stdout.write(`${line}\n`);
process.stdout.write(
  `tags judged in one window: at most ${mostJudged}; seed ${seed}; ${seconds.toFixed(0)} s\n`,
);
if (mostJudged > 1 || rows.some(({ isWithin }) => !isWithin)) process.exitCode = 1;

function report(stop: string, of: readonly Siege[]): { readonly line: string; readonly isWithin: boolean } {
  const taken = of.filter(({ isTaken }) => isTaken).length;
  const connections = of.reduce((sum, siege) => sum + siege.connections, 0);
  const mean = of.length * CHANCE;
  const slack = DEVIATIONS * Math.sqrt(mean * (1 - CHANCE));
  const range = `${Math.max(0, Math.ceil(mean - slack))} to ${Math.floor(mean + slack)}`;
  const columns = [stop.padEnd(20), String(of.length).padStart(8), String(connections).padStart(12)];
  return {
    line: [...columns, String(taken).padStart(6), ` ${range}`].join(" "),
    isWithin: Math.abs(taken - mean) <= slack,
  };
}
