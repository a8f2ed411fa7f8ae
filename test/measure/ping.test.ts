import { describe, expect, it } from "vitest";
import { GatehouseError } from "../../src/core/index.ts";
import { type PingTarget, ping } from "../../src/measure/index.ts";
import { ManualClock } from "../support/manual-clock.ts";

/** The answer's fields are none of ping's business. */
const answer: unknown = {};

/** Answers each call after so many milliseconds of the clock, or with that error. */
function target(clock: ManualClock, script: readonly (number | GatehouseError)[]): PingTarget {
  let calls = 0;
  const call = async (): Promise<never> => {
    const next = script[calls++ % script.length];
    if (next instanceof GatehouseError) throw next;
    clock.advance(next ?? 0);
    return answer as never;
  };
  return { call, wire: "quic" as const, wireReason: "QUIC is tried first", handshakeMs: 1.23456 };
}

const options = (clock: ManualClock, count: number) => ({
  ...{ count, intervalMs: 0, timeoutMs: 1_000, clock, signal: new AbortController().signal },
});

describe("ping", () => {
  it("reports the round trips that the clock saw", async () => {
    const clock = new ManualClock();
    const seen: number[] = [];
    const report = await ping(target(clock, [1, 2, 3]), {
      ...options(clock, 3),
      onReply: (_, rttMs) => seen.push(rttMs),
    });
    expect(report).toEqual({
      ...{
        sent: 3,
        received: 3,
        wire: "quic" as const,
        wireReason: "QUIC is tried first",
        handshakeMs: 1.235,
      },
      rttMs: { min: 1, p50: 2, p95: 3, p99: 3, max: 3 },
    });
    expect(seen).toEqual([1, 2, 3]);
  });

  it("counts silence as loss, and has no figures when all is silence", async () => {
    const clock = new ManualClock();
    const silence = new GatehouseError("rpc.deadline", "no answer in time");
    expect(await ping(target(clock, [5, silence]), options(clock, 4))).toMatchObject({
      sent: 4,
      received: 2,
    });
    const nothing = await ping(target(clock, [silence]), options(clock, 2));
    expect([nothing.received, nothing.rttMs]).toEqual([0, undefined]);
  });

  it("fails on a refusal instead of counting it", async () => {
    const clock = new ManualClock();
    const refused = new GatehouseError("device.revoked", "this device was revoked");
    await expect(ping(target(clock, [1, refused]), options(clock, 9))).rejects.toBe(refused);
  });

  it("stops in a pause when it is told to", async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const running = ping(target(clock, [1]), {
      ...options(clock, 5),
      intervalMs: 60_000,
      signal: stop.signal,
    });
    stop.abort();
    await expect(running).rejects.toMatchObject({ code: "rpc.cancelled" });
  });
});
