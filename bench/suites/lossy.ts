/**
 * Small calls, connects and a transfer over a lossy link: both wires over the same emulated link, which delays and drops
 * every IP packet alike, in turn in one run. Mutual TLS with P-256 certificates; client and server in processes and
 * network namespaces of their own. Loss is per direction and independent from packet to packet: at 10 % a packet and
 * its answer both arrive with 81 %.
 */
import { Resources } from "../../src/core/index.ts";
import { EmulatedLink } from "../link/emulated-link.ts";
import { type Server, startPeer, type Target } from "../support/targets.ts";
import { WorkerProcess } from "../support/worker-process.ts";
import type { LossyRequest } from "./lossy-client-process.ts";
import { figureOf, type Road, type RoundResult, verdictsOf, type WireName } from "./lossy-figures.ts";
import type { HostRequest } from "./lossy-gatehouse-process.ts";
import type { CallsOrder, CallsSample, ConnectSample, ConnectsOrder } from "./lossy-load.ts";
import type { LossyReport } from "./lossy-report.ts";

export interface LossyPlan {
  readonly rounds: number;
  readonly roads: readonly Road[];
}

const LOSSES = [0, 0.01, 0.02, 0.05, 0.1] as const;
const RTTS_MS = [30, 50, 150] as const;

/** About 45 minutes, a third of it grpc-js transferring 4 MiB. */
export const FULL_PLAN: LossyPlan = {
  rounds: 3,
  roads: RTTS_MS.flatMap((rttMs) => LOSSES.map((loss) => ({ rttMs, loss }))),
};

/** Under two minutes. */
export const QUICK_PLAN: LossyPlan = { rounds: 1, roads: [0, 0.02].map((loss) => ({ rttMs: 50, loss })) };

/** Side by side, so that there are enough for a p99: few enough not to wait for each other's cryptography. */
const SIDE_BY_SIDE = { countMax: 100, lanes: 4 } as const;
const COLD: ConnectsOrder = { start: "cold", durationMs: 3_000, ...SIDE_BY_SIDE };
const AGAIN: ConnectsOrder = { start: "again", durationMs: 1_500, ...SIDE_BY_SIDE };

const ONE: CallsOrder = { operation: "ping-2k", inFlight: 1, warmupMs: 500, durationMs: 2_500 };
const MANY: CallsOrder = { ...ONE, inFlight: 32 };

/** For the compilers of all processes: a road on which a lot happens in little time. */
const WARMUP_ROAD: Road = { rttMs: 2, loss: 0 };

/** Rounds of a measure that may fail to finish. */
const LOST_ROUNDS_MAX = 2;

/** Runs the suite. Every process and namespace it makes is gone when it settles. @throws LinkUnavailable */
export async function runLossy(
  names: readonly WireName[],
  { rounds, roads }: LossyPlan,
  progress: (line: string) => void,
): Promise<LossyReport> {
  await using resources = new Resources();
  const link = resources.use(await EmulatedLink.open());
  const wires: Wire[] = [];
  for (const name of names) {
    progress(`starting ${name}`);
    const { target } = resources.use(await startServer(name, link));
    wires.push(resources.use(await Wire.start(name, target, link)));
  }
  progress("warming up");
  for (const wire of wires) await wire.drive(WARMUP_ROAD, "warm-up", []);
  const cells = roads.flatMap((road) => wires.map((wire) => ({ road, wire, results: [] as RoundResult[] })));
  for (let round = 1; round <= rounds; round += 1) {
    for (const { road, wire, results } of cells) {
      progress(`round ${round} of ${rounds}: ${road.rttMs} ms, ${road.loss * 100} % loss, ${wire.name}`);
      results.push(await wire.drive(road, `${round}`, results));
    }
  }
  const figures = cells.map(({ road, wire, results }) => figureOf(wire.name, road, results));
  const { tcpCongestionControl } = link;
  return { suite: "lossy", rounds, tcpCongestionControl, figures, verdicts: verdictsOf(figures) };
}

async function startServer(
  name: WireName,
  { far }: EmulatedLink,
): Promise<Pick<Server, "target"> & AsyncDisposable> {
  if (name !== "gatehouse") return startPeer(name, far);
  const worker = WorkerProcess.start(new URL("lossy-gatehouse-process.ts", import.meta.url), far);
  try {
    const request: HostRequest = { host: far.host };
    const { target } = (await worker.ask(request)) as { readonly target: Target };
    return { target, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
  } catch (failure) {
    await worker[Symbol.asyncDispose]();
    throw failure;
  }
}

/** One contender's client, started anew when calls of its may still be out. */
class Wire implements AsyncDisposable {
  readonly name: WireName;
  readonly #target: Target;
  readonly #link: EmulatedLink;
  #client: WorkerProcess | undefined;

  private constructor(name: WireName, target: Target, link: EmulatedLink) {
    this.name = name;
    this.#target = target;
    this.#link = link;
  }

  static async start(name: WireName, target: Target, link: EmulatedLink): Promise<Wire> {
    const wire = new Wire(name, target, link);
    await wire.#restart();
    return wire;
  }

  /** All measures of one road. Both wires meet the same draws of loss in the same round. */
  async drive(road: Road, round: string, before: readonly RoundResult[]): Promise<RoundResult> {
    await this.#link.shape({ ...road, seed: `${round}/${road.rttMs}/${road.loss}` });
    const failures: string[] = [];
    const connects = await this.#connects(COLD, failures);
    // grpc-js keeps nothing of a connection for the next.
    const again = this.name === "gatehouse" ? await this.#connects(AGAIN, failures) : [];
    const calls = async (key: "one" | "many", order: CallsOrder): Promise<CallsSample | undefined> => {
      if (isLost(before, key)) return undefined;
      return (await this.#measure<Calls>({ kind: "calls", order }, failures)).sample;
    };
    const one = await calls("one", ONE);
    const many = await calls("many", MANY);
    const { ms: transferMs } = isLost(before, "transferMs")
      ? {}
      : await this.#measure<Transfer>({ kind: "transfer" }, failures);
    const link = await this.#link.counters();
    return { ...{ connects, again, one, many, transferMs }, ...{ link, failures } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
  }

  async #connects(order: ConnectsOrder, failures: string[]): Promise<readonly ConnectSample[]> {
    return (await this.#measure<Connects>({ kind: "connects", order }, failures)).samples ?? [];
  }

  /** Nothing, when it did not finish: calls of it may still be out, and the next one has a process of its own. */
  async #measure<Answer extends object>(request: LossyRequest, failures: string[]): Promise<Partial<Answer>> {
    const answer = await this.#ask(request).catch((failure: unknown) => {
      failures.push(`${request.kind}: ${failure instanceof Error ? failure.message : String(failure)}`);
      return {};
    });
    if (Object.keys(answer).length === 0) await this.#restart();
    return answer;
  }

  async #restart(): Promise<void> {
    await this.#client?.[Symbol.asyncDispose]();
    const module = new URL("lossy-client-process.ts", import.meta.url);
    this.#client = WorkerProcess.start(module, this.#link.near);
    await this.#ask({ kind: "target", target: this.#target });
  }

  async #ask(request: LossyRequest): Promise<object> {
    return ((await this.#client?.ask(request)) ?? {}) as object;
  }
}

/** So many rounds that never finished make the median DNF: the others need not be waited for. */
function isLost(rounds: readonly RoundResult[], key: "one" | "many" | "transferMs"): boolean {
  return rounds.filter((round) => round[key] === undefined).length >= LOST_ROUNDS_MAX;
}

interface Connects {
  readonly samples: readonly ConnectSample[];
}

interface Calls {
  readonly sample: CallsSample;
}

interface Transfer {
  readonly ms: number;
}
