import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import { EarlyData, encodeCall, Router, StrikeRegister } from "../../src/rpc/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { memoryStreams, settled } from "../support/memory-wire.ts";
import { closeCode, house, PING, PUT, pingBytes } from "./support.ts";

const EMPTY = new Uint8Array();
const withId = (requestId: Uint8Array | undefined, method = PING.path): Uint8Array =>
  encodeCall({ method, timeoutMs: 1_000, requestId, traceparent: "" }, EMPTY);
const id = (number: number): Uint8Array => new Uint8Array(16).fill(number);

describe("early data", () => {
  it("is answered once, and a replay of it changes nothing and is counted", async () => {
    const { router, dial, streams } = house();
    let calls = 0;
    router.handle(PING, () => {
      calls += 1;
      return {};
    });
    for (let count = 0; count < 3; count += 1) dial({}, true).write(pingBytes(), true);
    await settled();
    expect(streams.map(({ far }) => closeCode(far))).toEqual(["", "rpc.too-early", "rpc.too-early"]);
    expect(calls).toBe(1);
    expect(router.earlyDataCounts).toMatchObject({ accepted: 1, replayed: 2 });
    expect(router.callsInFlight).toBe(0);
  });

  it("never reaches interceptors when it is refused, so that nobody fills a log with it", async () => {
    let seen = 0;
    const { router, dial } = house([
      (_context, _request, next) => {
        seen += 1;
        return next();
      },
    ]);
    router.handle(PING, () => ({}));
    router.handle(PUT, () => ({}));
    for (let count = 0; count < 5; count += 1) dial({}, true).write(pingBytes(), true);
    dial({}, true).write(withId(id(1), PUT.path), true);
    dial({}, true).write(withId(undefined), true);
    await settled();
    expect(seen).toBe(1);
    expect(router.earlyDataCounts).toEqual({
      ...{ accepted: 1, replayed: 4, full: 0, withSideEffects: 1, withoutRequestId: 1 },
    });
  });

  it("does not use up the id of a call that comes after the handshake, and is not stopped by one", async () => {
    const { router, dial, streams } = house();
    router.handle(PING, () => ({}));
    dial().write(pingBytes(), true);
    dial({}, true).write(pingBytes(), true);
    dial().write(pingBytes(), true);
    await settled();
    expect(streams.map(({ far }) => closeCode(far))).toEqual(["", "", ""]);
  });

  it("of one device does not burn the ids of another", async () => {
    const clock = new ManualClock();
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const earlyData = new EarlyData<{ readonly device: string }>({ clock, ownerOf: ({ device }) => device });
    const router = new Router<{ readonly device: string }>({ clock, log, earlyData });
    router.handle(PING, () => ({}));
    const ask = (device: string) => {
      const { near, far } = memoryStreams({}, true);
      router.serve(far, { device });
      near.write(withId(id(7)), true);
      return far;
    };
    // Two connections of the same device are the same owner.
    const answers = [ask("a"), ask("b"), ask("a")];
    await settled();
    expect(answers.map(closeCode)).toEqual(["", "", "rpc.too-early"]);
  });

  it("is put off, never let through, when no more ids can be remembered", async () => {
    const clock = new ManualClock();
    const limits = { rememberMs: LIMITS.strikeMs, perOwner: 2, total: 2, clockStepMs: 1_000 };
    const register = new StrikeRegister(clock, limits);
    const earlyData = new EarlyData<string>({ clock, ownerOf: (peer) => peer, register });
    for (const number of [1, 2]) earlyData.accept(PING, id(number), "a");
    for (const number of [3, 4]) {
      expect(() => earlyData.accept(PING, id(number), "a")).toThrow(
        expect.objectContaining({ code: "rpc.too-early" }),
      );
    }
    expect(earlyData.counts).toMatchObject({ accepted: 2, full: 2 });
  });

  it("is not for a router that was given no way to tell replays", async () => {
    const clock = new ManualClock();
    const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
    const router = new Router<string>({ clock, log });
    router.handle(PING, () => ({}));
    const { near, far } = memoryStreams({}, true);
    router.serve(far, "someone");
    near.write(pingBytes(), true);
    await settled();
    expect(closeCode(far)).toBe("rpc.too-early");
    expect(router.earlyDataCounts).toBeUndefined();
  });
});
