import { isDeepStrictEqual } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { equalBytes } from "../../src/core/index.ts";
import type { EnrollRequest, PairingResult, PairingSecret, PairingWindow } from "../../src/pairing/index.ts";
import { times } from "../support/effort.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { MEDDLING, type Recordings } from "./meddler.ts";
import {
  MESSAGES_ASKING,
  makeGatehouse,
  makeJoiner,
  meet,
  type Outcome,
  type TestGatehouse,
  type TestJoiner,
} from "./parties.ts";
import { openWindow } from "./windows.ts";

const MUTATIONS = times({ short: 200, long: 1_000 });
const KINDS = Object.keys(MEDDLING);

let gatehouse: TestGatehouse;
let joiner: TestJoiner;
let mallory: TestJoiner;
let recordings: Recordings;

beforeAll(async () => {
  [gatehouse, joiner, mallory] = await Promise.all([makeGatehouse(), makeJoiner(), makeJoiner()]);
  // Of the same joiner, of another one that knew the code, and at another gatehouse; all with the same code.
  const others = [
    { gatehouse, joiner },
    { gatehouse, joiner: mallory },
    { gatehouse: await makeGatehouse(), joiner },
  ];
  recordings = await Promise.all(others.map(async (pair) => (await exchange(pair)).outcome.sent));
});

async function exchange(
  pair: { readonly gatehouse: TestGatehouse; readonly joiner: TestJoiner },
  network?: Parameters<typeof meet>[1],
): Promise<{
  readonly outcome: Outcome;
  readonly window: PairingWindow;
  readonly enrolled: TestGatehouse["enrolled"];
}> {
  const { window } = await openWindow({ requireApproval: true, random: new SeededRandom(5) });
  const secret: PairingSecret = { mode: "code", code: window.code ?? "" };
  const before = pair.gatehouse.enrolled.length;
  const decide = (): void => void window.decide(pair.joiner.identity.id, "approve");
  const outcome = await meet({ ...pair, window, secret, decide }, network);
  return { outcome, window, enrolled: pair.gatehouse.enrolled.slice(before) };
}

describe("whoever changes an exchange on its way", () => {
  it("has ten messages to change, and changes each of them", () => {
    expect(recordings.map(({ length }) => length)).toEqual([10, 10, 10]);
    expect(MESSAGES_ASKING).toHaveLength(10);
  });

  it(`makes neither side trust a wrong key, in ${MUTATIONS} ways`, { timeout: 300_000 }, async () => {
    const random = new SeededRandom(20_261_124);
    const counts = { unaffected: 0, granted: 0, aborted: 0 };
    for (let number = 0; number < MUTATIONS; number += 1) {
      const kind = KINDS[number % KINDS.length] ?? "";
      const at = Math.floor(random.next() * MESSAGES_ASKING.length);
      const what = `${number}: ${kind}, at the ${MESSAGES_ASKING[at] ?? ""}`;
      counts[await mutate(kind, at, random, what)] += 1;
    }
    expect(counts.unaffected + counts.granted + counts.aborted).toBe(MUTATIONS);
    expect(counts.aborted).toBeGreaterThan(MUTATIONS / 2);
  });

  /**
   * Runs one changed exchange. `unaffected`: both ended as if nothing had been changed; `granted`: the gatehouse knows
   * the joiner by its own key, which has not heard of it and may come back; `aborted`: nobody is known to anybody.
   */
  async function mutate(
    kind: string,
    at: number,
    random: SeededRandom,
    what: string,
  ): Promise<"unaffected" | "granted" | "aborted"> {
    const soFar: Uint8Array[] = [];
    let hasArrived = true;
    const { outcome, window, enrolled } = await exchange({ gatehouse, joiner }, (bytes, index) => {
      soFar.push(bytes);
      if (index !== at) return bytes;
      const changed = MEDDLING[kind]?.({ bytes, index, soFar, recordings, random });
      // What follows a whole message belongs to a next one that may never come to its end.
      hasArrived = changed !== undefined && equalBytes(changed.subarray(0, bytes.length), bytes);
      return changed;
    });
    const { result } = outcome;
    const isPaired = result !== undefined;
    const [isEnrolled, isEnrolledTwice] = [enrolled.length > 0, enrolled.length > 1];
    expect({
      what,
      isEnrolledTwice,
      knowsOnlyTheJoiner: enrolled.every(isTheJoiner),
      pinsOnlyTheGatehouse: !isPaired || isTheGatehouse(result),
      pinsOneThatKnowsNothing: isPaired && !isEnrolled,
      isWindowPaired: window.state === "paired",
      // Whatever was changed before one side's last message has stopped that side.
      pairedOnChangedMessages: isPaired && !hasArrived && at <= MESSAGES_ASKING.indexOf("grant"),
      enrolledOnChangedMessages: isEnrolled && !hasArrived && at <= MESSAGES_ASKING.indexOf("request"),
    }).toEqual({
      ...{ what, isEnrolledTwice: false, knowsOnlyTheJoiner: true, pinsOnlyTheGatehouse: true },
      ...{ pinsOneThatKnowsNothing: false, isWindowPaired: isEnrolled },
      ...{ pairedOnChangedMessages: false, enrolledOnChangedMessages: false },
    });
    if (isPaired) return "unaffected";
    return isEnrolled ? "granted" : "aborted";
  }

  function isTheJoiner(request: EnrollRequest): boolean {
    const { publicKey: identityKey } = joiner.identity;
    const { certificateRequest } = joiner;
    const said = { name: "laptop", kind: "cli", platform: "linux x64" };
    return isDeepStrictEqual(request, {
      ...{ identityKey, certificateRequest, ...said, role: "member", replaces: undefined },
    });
  }

  function isTheGatehouse({ gatehouseId, gatehouseKey, gatehouseName, ...own }: PairingResult): boolean {
    const { identity } = gatehouse;
    const isItself = gatehouseId === identity.id && equalBytes(gatehouseKey, identity.publicKey);
    const isOurs =
      own.deviceId === joiner.identity.id && own.deviceName === "laptop" && own.role === "member";
    return isItself && gatehouseName === "home" && isOurs;
  }
});
