import { describe, expect, it } from "vitest";
import { GatehouseError, LIMITS } from "../../src/core/index.ts";
import { byteByByte, connectionLost, type MemoryWireOptions, settled } from "../support/memory-wire.ts";
import { COLLECT, collect, ECHO, house, OPEN, PING, PUT, REQUEST_ID, STATUS } from "./support.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);

async function* pings(count: number, size = 1) {
  for (let index = 0; index < count; index += 1) yield { payload: new Uint8Array(size).fill(index) };
}

const WIRES: readonly (readonly [string, MemoryWireOptions])[] = [
  ["whole writes", {}],
  ["one byte at a time", { split: byteByByte }],
];

describe.each(WIRES)("calls over %s", (_name, wire) => {
  it("bring a unary answer back in one write each way", async () => {
    const { router, caller, dial, streams } = house();
    router.handle(PING, ({ payload }) => ({ payload }));
    const answer = await caller.unary(() => dial(wire), PING, { payload: bytes(1, 2, 3) });
    expect([...answer.payload]).toEqual([1, 2, 3]);
    expect(streams.map(({ near, far }) => [near.written.length, far.written.length])).toEqual([[1, 1]]);
    expect(router.callsInFlight).toBe(0);
  });

  it("carry the request id and the trace of the caller to the handler", async () => {
    const { router, caller, dial } = house();
    const seen: unknown[] = [];
    router.handle(PING, ({ payload }, { requestId, traceparent, peer, method }) => {
      seen.push({ requestId, traceparent, peer, path: method.path });
      return { payload };
    });
    const options = { requestId: REQUEST_ID, traceparent: "00-abc-def-01" };
    await caller.unary(() => dial(wire), PING, {}, options);
    const path = PING.path;
    expect(seen).toEqual([{ ...options, peer: "someone", path }]);
  });

  it("stream answers in order and end", async () => {
    const { router, caller, dial } = house();
    router.handle(OPEN, async function* ({ role }) {
      for (let at = 0; at < 50; at += 1) yield { opened: { code: role, uri: "", expiresAt: at } };
    });
    const events = await collect(caller.serverStream(() => dial(wire), OPEN, { role: "r" }));
    expect(events.map(({ opened }) => opened?.expiresAt)).toEqual(Array.from({ length: 50 }, (_, at) => at));
  });

  it("stream requests to one answer", async () => {
    const { router, caller, dial } = house();
    router.handle(COLLECT, async (requests) => ({
      payload: Uint8Array.from((await collect(requests)).map(({ payload }) => payload[0] ?? 0)),
    }));
    const answer = await caller.clientStream(() => dial(wire), COLLECT, pings(20));
    expect([...answer.payload]).toEqual(Array.from({ length: 20 }, (_, at) => at));
  });

  it("stream both ways at once", async () => {
    const { router, caller, dial } = house();
    router.handle(ECHO, async function* (requests) {
      for await (const { payload } of requests) yield { payload };
    });
    const answers = await collect(caller.bidiStream(() => dial(wire), ECHO, pings(20)));
    expect(answers.map(({ payload }) => payload[0])).toEqual(Array.from({ length: 20 }, (_, at) => at));
  });

  it("bring a handler's error back with its code, words, hint and delay", async () => {
    const { router, caller, dial, failures } = house();
    const details = { hint: "wait", retryAfterMs: 1_500, cause: new Error("hidden") };
    router.handle(PING, () => {
      throw new GatehouseError("rpc.overloaded", "too many calls", details);
    });
    const failure = await caller.unary(() => dial(wire), PING, {}).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "rpc.overloaded", message: "too many calls", hint: "wait" });
    expect(failure).toMatchObject({ retryAfterMs: 1_500 });
    expect(failure).not.toHaveProperty("cause");
    expect(failures).toEqual([]);
  });
});

describe("a call", () => {
  it("whose handler fails unexpectedly says nothing of it and is logged", async () => {
    const { router, caller, dial, failures } = house();
    router.handle(PING, async () => {
      throw new Error("the secret is 1234");
    });
    const failure = await caller.unary(() => dial(), PING, {}).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "rpc.internal" });
    expect(JSON.stringify(failure) + String(failure)).not.toContain("1234");
    expect(failures).toEqual([{ event: "call-failed", error: expect.stringContaining("1234") }]);
  });

  it("whose handler fails in the middle of its stream ends with the error after what was sent", async () => {
    const { router, caller, dial } = house();
    router.handle(OPEN, async function* () {
      yield { expired: {} };
      throw new GatehouseError("pairing.paused", "too many wrong codes");
    });
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const event of caller.serverStream(() => dial(), OPEN, {})) seen.push(event);
    })();
    await expect(reading).rejects.toMatchObject({ code: "pairing.paused" });
    expect(seen).toHaveLength(1);
  });

  it("to a method that nobody handles is told so", async () => {
    const { caller, dial } = house();
    await expect(caller.unary(() => dial(), STATUS, {})).rejects.toMatchObject({
      code: "rpc.unknown-method",
    });
  });

  it("ends at its deadline on both sides, and the handler hears of it", async () => {
    const { router, caller, dial, clock } = house();
    const signals: AbortSignal[] = [];
    router.handle(PING, (_request, { signal }) => {
      signals.push(signal);
      return new Promise(() => undefined);
    });
    const answer = caller.unary(() => dial(), PING, {}, { timeoutMs: 500 });
    await settled();
    clock.advance(499);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    clock.advance(11);
    await expect(answer).rejects.toMatchObject({ code: "rpc.deadline" });
    expect(signals.map(({ reason }) => reason)).toEqual([expect.objectContaining({ code: "rpc.deadline" })]);
    expect(router.callsInFlight).toBe(0);
  });

  it("has no more time than the gatehouse's own maximum", async () => {
    const { router, caller, dial } = house();
    const remaining: number[] = [];
    router.handle(PING, (_request, context) => {
      remaining.push(context.remainingMs());
      return {};
    });
    await caller.unary(() => dial(), PING, {}, { timeoutMs: 10 * LIMITS.callTimeoutMaxMs });
    await caller.unary(() => dial(), PING, {}, { timeoutMs: 250 });
    expect(remaining).toEqual([LIMITS.callTimeoutMaxMs, 250]);
  });

  it("that is cancelled resets its stream and aborts its handler", async () => {
    const { router, caller, dial, streams } = house();
    let aborted: unknown;
    router.handle(PING, (_request, { signal }) => {
      signal.addEventListener("abort", () => {
        aborted = signal.reason;
      });
      return new Promise(() => undefined);
    });
    const abort = new AbortController();
    const answer = caller.unary(() => dial(), PING, {}, { signal: abort.signal });
    await settled();
    abort.abort(new Error("enough"));
    await expect(answer).rejects.toMatchObject({ code: "rpc.cancelled", cause: { message: "enough" } });
    await settled();
    expect(aborted).toMatchObject({ code: "rpc.cancelled" });
    expect(streams[0]?.near.resetCode).toBe(0);
    expect(router.callsInFlight).toBe(0);
  });

  it("cancelled before it began opens no stream", async () => {
    const { caller, dial, streams } = house();
    const answer = caller.unary(() => dial(), PING, {}, { signal: AbortSignal.abort() });
    await expect(answer).rejects.toMatchObject({ code: "rpc.cancelled" });
    expect(streams).toEqual([]);
  });

  it("whose reader leaves the loop closes the handler's iterator", async () => {
    const { router, caller, dial } = house();
    let isClosed = false;
    router.handle(OPEN, async function* (_request, { signal }) {
      try {
        while (!signal.aborted) yield { expired: {} };
      } finally {
        isClosed = true;
      }
    });
    for await (const event of caller.serverStream(() => dial({ highWaterBytes: 10 }), OPEN, {})) {
      expect(event.expired).toBeDefined();
      break;
    }
    await settled();
    expect(isClosed).toBe(true);
    expect(router.callsInFlight).toBe(0);
  });

  it("ends when the connection goes", async () => {
    const { router, caller, dial, streams } = house();
    router.handle(PING, () => new Promise(() => undefined));
    const answer = caller.unary(() => dial(), PING, {});
    await settled();
    streams[0]?.near.drop(connectionLost());
    streams[0]?.far.drop(connectionLost());
    await expect(answer).rejects.toMatchObject({ code: "quic.closed" });
    expect(router.callsInFlight).toBe(0);
  });

  it("too large to send never opens a stream; too large to answer says so", async () => {
    const { router, caller, dial, streams } = house();
    const value = new Uint8Array(LIMITS.messageBytes);
    const answer = caller.unary(() => dial(), PUT, { value });
    await expect(answer).rejects.toMatchObject({ code: "rpc.too-large" });
    expect(streams).toEqual([]);
    router.handle(PING, () => ({ payload: value }));
    await expect(caller.unary(() => dial(), PING, {})).rejects.toMatchObject({ code: "rpc.too-large" });
  });

  it("carries the largest secret", async () => {
    const { router, caller, dial } = house();
    router.handle(PUT, ({ path, value }) => ({ path, version: value.length }));
    const value = new Uint8Array(LIMITS.secretValueBytes);
    const answer = await caller.unary(() => dial(), PUT, { path: "a", value });
    expect(answer.version).toBe(LIMITS.secretValueBytes);
  });

  it("opened with a stream that comes late or fails is made or refused then", async () => {
    const { router, caller, dial } = house();
    router.handle(PING, () => ({}));
    await expect(caller.unary(() => Promise.resolve(dial()), PING, {})).resolves.toBeDefined();
    const refused = () => Promise.reject(connectionLost());
    await expect(caller.unary(refused, PING, {})).rejects.toMatchObject({ code: "quic.closed" });
  });

  it("with requests that fail is cancelled", async () => {
    const { router, caller, dial } = house();
    router.handle(COLLECT, async (requests) => ({
      payload: Uint8Array.of((await collect(requests)).length),
    }));
    const answer = caller.clientStream(
      () => dial(),
      COLLECT,
      (async function* () {
        yield {};
        throw new GatehouseError("file.io", "disk gone");
      })(),
    );
    await expect(answer).rejects.toMatchObject({ code: "file.io" });
    await settled();
    expect(router.callsInFlight).toBe(0);
  });

  it("refused before all was sent stops sending", async () => {
    const { router, caller, dial, streams } = house();
    router.handle(COLLECT, () => {
      throw new GatehouseError("authz.denied", "no");
    });
    let sent = 0;
    const endless = (async function* () {
      for (;;) {
        sent += 1;
        yield { payload: new Uint8Array(100) };
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    await expect(caller.clientStream(() => dial(), COLLECT, endless)).rejects.toMatchObject({
      code: "authz.denied",
    });
    await settled();
    const after = sent;
    await settled();
    expect(sent).toBe(after);
    expect(streams[0]?.near.resetCode).toBe(0);
  });
});

describe("back-pressure", () => {
  it("holds a handler that streams faster than its caller reads", async () => {
    const { router, caller, dial } = house();
    let made = 0;
    router.handle(OPEN, async function* () {
      for (; made < 1_000; made += 1) yield { opened: { code: "x".repeat(1_000), uri: "", expiresAt: 0 } };
    });
    const answers = caller.serverStream(() => dial({ highWaterBytes: 10_000 }), OPEN, {});
    await answers.next();
    await settled();
    expect(made).toBeLessThan(40);
    let count = 1;
    while (!(await answers.next()).done) count += 1;
    expect(count).toBe(1_000);
  });

  it("pauses a caller that streams faster than the handler takes", async () => {
    const { router, caller, dial, streams } = house();
    let take: (() => void) | undefined;
    router.handle(COLLECT, async (requests) => {
      let count = 0;
      for await (const _ of requests) {
        count += 1;
        if (count === 1) await new Promise<void>((resolve) => (take = resolve));
      }
      return { payload: Uint8Array.of(count) };
    });
    const answer = caller.clientStream(() => dial({ highWaterBytes: 5_000 }), COLLECT, pings(100, 1_000));
    await settled(20);
    expect(streams[0]?.far.isPaused).toBe(true);
    expect(streams[0]?.near.written.length).toBeLessThan(20);
    take?.();
    expect([...(await answer).payload]).toEqual([100]);
  });
});
