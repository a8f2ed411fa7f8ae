/** `npm run bench -- [SUITE] [--json] [--quick] [--only NAME,NAME]`: tables, or one JSON document, on standard output. */
import { parseArgs } from "node:util";
import { LinkUnavailable } from "./link/emulated-link.ts";
import { STORE_NAMES } from "./peers/secret-store.ts";
import { AUTHZ_CONTENDERS, AUTHZ_PLAN, QUICK_AUTHZ_PLAN, runAuthz } from "./suites/authz.ts";
import { renderAuthz } from "./suites/authz-report.ts";
import { renderCallsReport, runCalls } from "./suites/calls.ts";
import { FULL_PLAN, QUICK_PLAN, runLossy } from "./suites/lossy.ts";
import { WIRES } from "./suites/lossy-figures.ts";
import { renderLossy } from "./suites/lossy-report.ts";
import { QUICK_TRANSPORT_PLAN, renderTransport, runTransport, TRANSPORT_PLAN } from "./suites/transport.ts";
import { QUICK_VAULT_PLAN, runVault, VAULT_PLAN } from "./suites/vault.ts";
import { renderVault } from "./suites/vault-report.ts";
import { thisMachine } from "./support/machine.ts";
import { PeerMissing } from "./support/peer-modules.ts";
import { table } from "./support/table.ts";
import { type ContenderName, OPERATIONS } from "./support/targets.ts";

interface Outcome {
  readonly report: object;
  readonly text: string;
}

const CONTENDERS = Object.keys(OPERATIONS) as readonly ContenderName[];

/** `--quick` is a suite's own short form, where it has one. */
const SUITES: Readonly<Record<string, () => Promise<Outcome>>> = {
  calls: async () => {
    const names = chosen(CONTENDERS);
    const report = await runCalls(names, progress);
    return { report, text: renderCallsReport(report) };
  },
  transport: async () => {
    const names = chosen(CONTENDERS);
    const plan = values.quick ? QUICK_TRANSPORT_PLAN : TRANSPORT_PLAN;
    const report = await runTransport(names, plan, progress);
    return { report, text: renderTransport(report) };
  },
  lossy: async () => {
    const names = chosen(CONTENDERS);
    const wires = WIRES.filter((wire) => names.includes(wire));
    const report = await runLossy(wires, values.quick ? QUICK_PLAN : FULL_PLAN, progress);
    return { report, text: renderLossy(report) };
  },
  vault: async () => {
    const plan = values.quick ? QUICK_VAULT_PLAN : VAULT_PLAN;
    const report = await runVault(chosen(STORE_NAMES), plan, progress);
    return { report, text: renderVault(report) };
  },
  authz: async () => {
    const plan = values.quick ? QUICK_AUTHZ_PLAN : AUTHZ_PLAN;
    const report = await runAuthz(chosen(AUTHZ_CONTENDERS), plan, progress);
    return { report, text: renderAuthz(report) };
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
  const { report, text } = await suite();
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ machine, ...report })}\n`);
  } else {
    const facts = Object.entries(machine).map(([fact, value]) => [fact, String(value)]);
    process.stdout.write(`${table(facts)}\n\n${text}\n`);
  }
} catch (failure) {
  if (!(failure instanceof LinkUnavailable || failure instanceof PeerMissing)) throw failure;
  progress(failure.message);
  process.exitCode = 2;
}

function progress(line: string): void {
  process.stderr.write(`bench: ${line}\n`);
}

/** Those of a suite's contenders that `--only` names; all of them without it. */
function chosen<Name extends string>(known: readonly Name[]): readonly Name[] {
  const wanted = values.only?.split(",") ?? known;
  const stranger = wanted.find((wantedName) => !known.some((contender) => contender === wantedName));
  if (stranger !== undefined)
    throw new RangeError(`no contender ${stranger}; there are: ${known.join(", ")}`);
  return known.filter((knownName) => wanted.includes(knownName));
}
