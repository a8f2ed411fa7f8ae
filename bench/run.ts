/** `npm run bench -- [SUITE] [--json] [--only NAME,NAME]`: tables, or one JSON document, on standard output. */
import { parseArgs } from "node:util";
import { renderCalls, runCalls } from "./suites/calls.ts";
import { thisMachine } from "./support/machine.ts";
import { table } from "./support/table.ts";
import { type ContenderName, OPERATIONS } from "./support/targets.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: "boolean", default: false }, only: { type: "string" } },
});

const suite = positionals[0] ?? "calls";
if (suite !== "calls") throw new RangeError(`no suite ${suite}; there is: calls`);

const machine = thisMachine();
const report = await runCalls(contenders(values.only), (line) => process.stderr.write(`bench: ${line}\n`));
if (values.json) {
  process.stdout.write(`${JSON.stringify({ machine, ...report })}\n`);
} else {
  const facts = Object.entries(machine).map(([name, value]) => [name, String(value)]);
  process.stdout.write(`${table(facts)}\n\n${renderCalls(report)}\n`);
}

function contenders(only: string | undefined): readonly ContenderName[] {
  const known = Object.keys(OPERATIONS) as ContenderName[];
  const wanted = only?.split(",") ?? known;
  const stranger = wanted.find((name) => !known.some((contender) => contender === name));
  if (stranger !== undefined)
    throw new RangeError(`no contender ${stranger}; there are: ${known.join(", ")}`);
  return known.filter((name) => wanted.includes(name));
}
