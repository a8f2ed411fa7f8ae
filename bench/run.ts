/** `npm run bench -- [SUITE] [--json] [--quick] [--only NAME,NAME]`: tables, or one JSON document, on standard output. */
import { parseArgs } from "node:util";
import { LinkUnavailable } from "./link/emulated-link.ts";
import { renderCallsReport, runCalls } from "./suites/calls.ts";
import { FULL_PLAN, QUICK_PLAN, runLossy } from "./suites/lossy.ts";
import { WIRES } from "./suites/lossy-figures.ts";
import { renderLossy } from "./suites/lossy-report.ts";
import { QUICK_TRANSPORT_PLAN, renderTransport, runTransport, TRANSPORT_PLAN } from "./suites/transport.ts";
import { thisMachine } from "./support/machine.ts";
import { table } from "./support/table.ts";
import { type ContenderName, OPERATIONS } from "./support/targets.ts";

interface Outcome {
  readonly report: object;
  readonly text: string;
}

/** `--quick` is a suite's own short form, where it has one. */
const SUITES: Readonly<Record<string, (names: readonly ContenderName[]) => Promise<Outcome>>> = {
  calls: async (names) => {
    const report = await runCalls(names, progress);
    return { report, text: renderCallsReport(report) };
  },
  transport: async (names) => {
    const plan = values.quick ? QUICK_TRANSPORT_PLAN : TRANSPORT_PLAN;
    const report = await runTransport(names, plan, progress);
    return { report, text: renderTransport(report) };
  },
  lossy: async (names) => {
    const wires = WIRES.filter((wire) => names.includes(wire));
    const report = await runLossy(wires, values.quick ? QUICK_PLAN : FULL_PLAN, progress);
    return { report, text: renderLossy(report) };
  },
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    only: { type: "string" },
  },
});

const name = positionals[0] ?? "calls";
const suite = SUITES[name];
if (suite === undefined)
  throw new RangeError(`no suite ${name}; there are: ${Object.keys(SUITES).join(", ")}`);

const machine = thisMachine();
try {
  const { report, text } = await suite(contenders(values.only));
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, ...report })}\n`);
  } else {
    const facts = Object.entries(machine).map(([fact, value]) => [fact, String(value)]);
    process.stdout.write(`${table(facts)}\n\n${text}\n`);
  }
} catch (failure) {
  if (!(failure instanceof LinkUnavailable)) throw failure;
  progress(failure.message);
  process.exitCode = 2;
}

function progress(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

function contenders(only: string | undefined): readonly ContenderName[] {
  const known = Object.keys(OPERATIONS) as ContenderName[];
  const wanted = only?.split(",") ?? known;
  const stranger = wanted.find((wantedName) => !known.some((contender) => contender === wantedName));
  if (stranger !== undefined)
    throw new RangeError(`no contender ${stranger}; there are: ${known.join(", ")}`);
  return known.filter((knownName) => wanted.includes(knownName));
}
