/**
 * A decision beside bare Cedar in one run: the same requests, entities and policies, validated against the same schema,
 * answered by allow or deny and the policies that decided. Contenders that do not agree on every one end the run.
 */
import { setFlagsFromString } from "node:v8";
import { Bench } from "tinybench";
import { type CedarCall, cedarCall } from "../../src/authz/cedar-call.ts";
import type { AuthorizationRequest, Authorizer } from "../../src/authz/index.ts";
import { type BareAnswer, statefulCedar, statelessCedar } from "../peers/bare-cedar.ts";
import { type PolicyBook, policyBook } from "../support/authz-policies.ts";
import { benchRequests } from "../support/authz-requests.ts";
import type { Verdict } from "../support/budgets.ts";
import { type LatencySummary, median, summarize } from "../support/percentiles.ts";
import { authzVerdicts, PEER } from "./authz-report.ts";

/** In the order of their turns: the two that a budget compares are neighbours. */
export const AUTHZ_CONTENDERS = [
  "cedar-stateless",
  "gatehouse-warm",
  "gatehouse-cold",
  "cedar-stateful",
] as const;

export type AuthzContender = (typeof AUTHZ_CONTENDERS)[number];

export interface AuthzPlan {
  readonly sizes: readonly number[];
  readonly rounds: number;
  readonly warmupMs: number;
  /** Of each contender in each round. */
  readonly durationMs: number;
}

/** Short turns and many, so that whatever else the machine does falls on all alike. Six minutes, half of them the check. */
export const AUTHZ_PLAN: AuthzPlan = { sizes: [10, 100, 1_000], rounds: 40, warmupMs: 10, durationMs: 100 };

/** A minute. */
export const QUICK_AUTHZ_PLAN: AuthzPlan = { sizes: [10, 100], rounds: 10, warmupMs: 10, durationMs: 100 };

/** Milliseconds: median of the rounds' medians; the other percentiles of all rounds' decisions together. */
export interface AuthzFigure {
  readonly contender: AuthzContender;
  readonly policies: number;
  readonly decisions: number;
  readonly latencyMs: LatencySummary;
  /** Of its median to stateful Cedar's in the same round, the median; undefined when that one did not run. */
  readonly toPeer: number | undefined;
}

export interface AuthzReport {
  readonly suite: "authz";
  readonly plan: AuthzPlan;
  /** How the requests that were checked and timed came out, by number of policies. */
  readonly checked: readonly Checked[];
  readonly figures: readonly AuthzFigure[];
  readonly verdicts: readonly Verdict[];
}

export interface Checked {
  readonly policies: number;
  readonly requests: number;
  readonly allowed: number;
  /** Denied by a policy that forbids. */
  readonly forbidden: number;
}

type Library = typeof import("../../src/authz/index.ts");

/** The build, not the sources: what tsx makes of them is slower than what people run. */
const LIBRARY = new URL("../../dist/authz/index.js", import.meta.url).href;

/** More than a memo holds, so that each is forgotten when its turn comes again. */
const DISTINCT = 12_000;
/** All of them remembered. */
const REMEMBERED = 1_000;
/** For one that takes milliseconds. */
const FEW = 60;
/** At least, of the slowest, in each round. */
const ITERATIONS_MIN = 2;

/** One contender with the requests that it is asked, in turn. */
interface Entrant {
  readonly contender: AuthzContender;
  readonly requests: number;
  readonly decide: (index: number) => BareAnswer;
}

/** Runs the suite with `names` only. @throws Error when two contenders do not decide alike. */
export async function runAuthz(
  names: readonly AuthzContender[],
  plan: AuthzPlan,
  progress: (line: string) => void,
): Promise<AuthzReport> {
  // As in the daemon: V8 12 and older may end the process where optimized code is thrown away in a call of WebAssembly.
  setFlagsFromString("--no-turbo-inline-js-wasm-calls");
  const checked: Checked[] = [];
  const figures: AuthzFigure[] = [];
  for (const size of plan.sizes) {
    progress(`${size} policies: checking that all decide alike`);
    const entrants = (await entrantsFor(policyBook(size))).filter(({ contender }) =>
      names.includes(contender),
    );
    checked.push({ policies: size, ...check(entrants) });
    figures.push(...measure(entrants, size, plan, progress));
  }
  return { suite: "authz", plan, checked, figures, verdicts: authzVerdicts(figures) };
}

async function entrantsFor(book: PolicyBook): Promise<readonly Entrant[]> {
  const library: Library = await import(LIBRARY);
  const schema = await library.loadDefaultSchema();
  const open = (): Promise<Authorizer> => library.Authorizer.open({ schema, policies: book.sources });
  const [cold, warm] = [await open(), await open()];
  const requests = benchRequests(book.teams, DISTINCT);
  const mentioned = new Set(library.CONTEXT_ATTRIBUTES.filter((attribute) => cold.mentions(attribute)));
  const calls = requests.map((request) => cedarCall(request, mentioned));
  const bare = { schema, policies: book.cedar };
  const [stateful, stateless] = [statefulCedar(bare), statelessCedar(bare)];
  for (const request of requests.slice(0, REMEMBERED)) warm.decide(request);
  return [
    { contender: "cedar-stateless", requests: FEW, decide: (index) => stateless(at(calls, index)) },
    { contender: "gatehouse-warm", requests: REMEMBERED, decide: ours(warm, requests, true) },
    { contender: "gatehouse-cold", requests: DISTINCT, decide: ours(cold, requests, false) },
    { contender: "cedar-stateful", requests: DISTINCT, decide: (index) => stateful(at(calls, index)) },
  ];
}

function ours(
  authorizer: Authorizer,
  requests: readonly AuthorizationRequest[],
  isMemoised: boolean,
): Entrant["decide"] {
  return (index) => {
    const decision = authorizer.decide(at(requests, index));
    if (decision.isMemoised !== isMemoised)
      throw new Error(`request ${index} was ${isMemoised ? "not " : ""}remembered`);
    return decision;
  };
}

/** Every request that is going to be timed, by everybody who is going to be asked it. */
function check(entrants: readonly Entrant[]): Omit<Checked, "policies"> {
  const known: BareAnswer[] = [];
  for (const { contender, requests, decide } of entrants) {
    for (let index = 0; index < requests; index += 1) {
      const answer = decide(index);
      const said = known[index] ?? answer;
      if (inWords(answer) !== inWords(said))
        throw new Error(`request ${index}: ${contender} has ${inWords(answer)}, another ${inWords(said)}`);
      known[index] = said;
    }
  }
  return {
    requests: known.length,
    allowed: known.filter(({ kind }) => kind === "allow").length,
    forbidden: known.filter(({ kind, policies }) => kind === "deny" && policies.length > 0).length,
  };
}

function inWords({ kind, policies }: BareAnswer): string {
  return `${kind} by [${policies.join(", ")}]`;
}

function measure(
  entrants: readonly Entrant[],
  policies: number,
  plan: AuthzPlan,
  progress: (line: string) => void,
): readonly AuthzFigure[] {
  const running = entrants.map((entrant) => ({
    ...{ contender: entrant.contender, once: inTurn(entrant) },
    ...{ medians: [] as number[], samples: [] as number[][] },
  }));
  for (let round = 1; round <= plan.rounds; round += 1) {
    progress(`${policies} policies: round ${round} of ${plan.rounds}`);
    for (const { contender, once, medians, samples } of running) {
      const taken = timed(contender, once, plan);
      medians.push(summarize(taken).p50);
      samples.push([...taken]);
    }
  }
  const peer = running.find(({ contender }) => contender === PEER)?.medians;
  return running.map(({ contender, medians, samples }) => {
    const all = samples.flat();
    return {
      ...{ contender, policies, decisions: all.length },
      latencyMs: { ...summarize(all), p50: median(medians) },
      toPeer: peer && median(medians.map((own, round) => own / (peer[round] ?? Number.NaN))),
    };
  });
}

/** One decision after the other, each timed by itself: the clock's own time, some 50 ns, is in every sample. */
function timed(name: string, once: () => BareAnswer, plan: AuthzPlan): readonly number[] {
  const bench = new Bench({
    ...{ time: plan.durationMs, iterations: ITERATIONS_MIN },
    ...{ warmupTime: plan.warmupMs, warmupIterations: 1 },
    ...{ retainSamples: true, throws: true },
  });
  const [task] = bench.add(name, once).runSync();
  if (task === undefined || !("latency" in task.result)) throw new Error(`${name} was not timed`);
  return task.result.latency.samples ?? [];
}

function inTurn({ requests, decide }: Entrant): () => BareAnswer {
  let turn = 0;
  return () => {
    const answer = decide(turn);
    turn = (turn + 1) % requests;
    return answer;
  };
}

function at<Item extends AuthorizationRequest | CedarCall>(items: readonly Item[], index: number): Item {
  const item = items[index];
  if (item === undefined) throw new RangeError(`there is no request ${index}`);
  return item;
}
