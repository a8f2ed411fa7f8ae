/** Whatever the wire: the same results, the same codes. gRPC's client is a stock one. */
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { ERROR_CODES, type ErrorCode, GatehouseError, isErrorCode, LIMITS } from "../../src/core/index.ts";
import { PEER, WIRE_NAMES, type Wire, Wires } from "../support/rpc-wires.ts";
import { COLLECT, collect, ECHO, OPEN, PING, PUT, REQUEST_ID, STATUS } from "./support.ts";

const wires = new Wires();
afterAll(() => wires[Symbol.dispose]());

async function* pings(count: number, size = 1) {
  for (let index = 0; index < count; index += 1) yield { payload: new Uint8Array(size).fill(index) };
}

const never = () => new Promise<never>(() => undefined);

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

describe.each(WIRE_NAMES)("a call over %s", (name) => {
  let wire: Wire;
  beforeEach(async () => {
    wire = await wires.open(name);
  });
  afterEach(() => wire[Symbol.asyncDispose]());

  it("brings its answer back, be it empty or the largest", async () => {
    const { router, caller } = wire;
    router.handle(PING, ({ payload }) => ({ payload }));
    router.handle(PUT, ({ path, value }) => ({ path, version: value.length }));
    for (const payload of [
      new Uint8Array(),
      Uint8Array.of(1, 2, 3),
      new Uint8Array(LIMITS.secretValueBytes),
    ]) {
      const answer = await caller.unary(PING, { payload });
      expect(Buffer.compare(answer.payload, payload)).toBe(0);
    }
    const value = new Uint8Array(LIMITS.secretValueBytes);
    expect((await caller.unary(PUT, { path: "a", value })).version).toBe(LIMITS.secretValueBytes);
    await until(() => router.callsInFlight === 0);
  });

  it("carries request id, trace and time to the handler", async () => {
    const { router, caller } = wire;
    const seen: unknown[] = [];
    let remainingMs = 0;
    router.handle(PING, (_request, context) => {
      const { requestId, traceparent, peer, isEarlyData } = context;
      seen.push({ requestId, traceparent, peer, isEarlyData });
      remainingMs = context.remainingMs();
      return {};
    });
    const options = { requestId: REQUEST_ID, traceparent: "00-abc-def-01" };
    await caller.unary(PING, {}, { ...options, timeoutMs: 5_000 });
    expect(seen).toEqual([{ ...options, peer: PEER, isEarlyData: false }]);
    expect(remainingMs).toBeGreaterThan(4_000);
    expect(remainingMs).toBeLessThanOrEqual(5_000);
  });

  it("streams answers, requests, and both at once, in order", async () => {
    const { router, caller } = wire;
    router.handle(OPEN, async function* ({ role }) {
      for (let at = 0; at < 50; at += 1) yield { opened: { code: role, uri: "", expiresAt: at } };
    });
    router.handle(COLLECT, async (requests) => ({
      payload: Uint8Array.from((await collect(requests)).map(({ payload }) => payload[0] ?? 0)),
    }));
    router.handle(ECHO, async function* (requests) {
      for await (const { payload } of requests) yield { payload };
    });
    const inOrder = Array.from({ length: 50 }, (_, at) => at);
    const events = await collect(caller.serverStream(OPEN, { role: "r" }));
    expect(events.map(({ opened }) => opened?.expiresAt)).toEqual(inOrder);
    expect([...(await caller.clientStream(COLLECT, pings(50))).payload]).toEqual(inOrder);
    const echoed = await collect(caller.bidiStream(ECHO, pings(50)));
    expect(echoed.map(({ payload }) => payload[0])).toEqual(inOrder);
    expect(await collect(caller.bidiStream(ECHO, pings(0)))).toEqual([]);
  });

  it("answers while its caller still sends", async () => {
    const { router, caller } = wire;
    router.handle(ECHO, async function* (requests) {
      for await (const { payload } of requests) yield { payload };
    });
    let send: (() => void) | undefined;
    const answers = caller.bidiStream(
      ECHO,
      (async function* () {
        yield { payload: Uint8Array.of(1) };
        await new Promise<void>((resolve) => (send = resolve));
        yield { payload: Uint8Array.of(2) };
      })(),
    );
    expect((await answers.next()).value?.payload[0]).toBe(1);
    send?.();
    expect((await answers.next()).value?.payload[0]).toBe(2);
    expect((await answers.next()).done).toBe(true);
  });

  it("brings every code there is back with its words, hint and delay", async () => {
    const { router, caller, failures } = wire;
    const words = { hint: "try 50 % — später", retryAfterMs: 1_500 };
    router.handle(OPEN, () => {
      throw new Error("not called");
    });
    router.handle(PUT, ({ path }) => {
      if (!isErrorCode(path)) throw new Error("no code");
      throw new GatehouseError(path, `it failed: ${path} – 100 %`, { ...words, cause: new Error("hidden") });
    });
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const failure: unknown = await caller.unary(PUT, { path: code }).catch((error: unknown) => error);
      expect(failure).toMatchObject({ code, message: `it failed: ${code} – 100 %`, ...words });
      expect(failure).not.toHaveProperty("cause");
    }
    expect(failures).toEqual([]);
  });

  it("says nothing of an unexpected failure, and logs it", async () => {
    const { router, caller, failures } = wire;
    router.handle(PING, async () => {
      throw new Error("the secret is 1234");
    });
    const failure: unknown = await caller.unary(PING, {}).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "rpc.internal" });
    expect(JSON.stringify(failure) + String(failure)).not.toContain("1234");
    expect(failures).toEqual([expect.stringContaining("1234")]);
  });

  it("ends with the error after what was sent before it", async () => {
    const { router, caller } = wire;
    router.handle(OPEN, async function* () {
      yield { expired: {} };
      throw new GatehouseError("pairing.paused", "too many wrong codes");
    });
    const seen: unknown[] = [];
    const reading = (async () => {
      for await (const event of caller.serverStream(OPEN, {})) seen.push(event);
    })();
    await expect(reading).rejects.toMatchObject({ code: "pairing.paused" });
    expect(seen).toHaveLength(1);
  });

  it("is told of a method that there is not, and of messages that are none", async () => {
    const { router, caller } = wire;
    await expect(caller.unary(STATUS, {})).rejects.toMatchObject({ code: "rpc.unknown-method" });
    router.handle(PING, () => ({}));
    const garbage = {
      ...PING,
      request: { ...PING.request, encode: () => ({ finish: () => Uint8Array.of(0x0a, 9) }) },
    };
    await expect(caller.unary(garbage, {})).rejects.toMatchObject({ code: "rpc.bad-message" });
  });

  it("is refused when a message is too large, in either direction", async () => {
    const { router, caller } = wire;
    const payload = new Uint8Array(LIMITS.messageBytes + 1);
    router.handle(PING, ({ payload: asked }) => (asked.length === 0 ? { payload } : {}));
    await expect(caller.unary(PING, { payload })).rejects.toMatchObject({ code: "rpc.too-large" });
    await expect(caller.unary(PING, {})).rejects.toMatchObject({ code: "rpc.too-large" });
  });

  it("ends at its deadline on both sides", async () => {
    const { router, caller } = wire;
    const signals: AbortSignal[] = [];
    router.handle(PING, (_request, { signal }) => {
      signals.push(signal);
      return never();
    });
    await expect(caller.unary(PING, {}, { timeoutMs: 60 })).rejects.toMatchObject({ code: "rpc.deadline" });
    await until(() => router.callsInFlight === 0);
    // Either the server's own clock ended it, or the caller's word came first.
    expect(signals.map(({ reason }) => (reason as GatehouseError).code)).toEqual([
      expect.stringMatching(/^rpc\.(deadline|cancelled)$/),
    ]);
  });

  it("that is cancelled aborts its handler", async () => {
    const { router, caller } = wire;
    let reason: unknown;
    router.handle(PING, (_request, { signal }) => {
      signal.addEventListener("abort", () => {
        reason = signal.reason;
      });
      return never();
    });
    const abort = new AbortController();
    const answer = caller.unary(PING, {}, { signal: abort.signal });
    await Promise.race([until(() => router.callsInFlight === 1), answer]);
    abort.abort();
    await expect(answer).rejects.toMatchObject({ code: "rpc.cancelled" });
    await until(() => reason !== undefined);
    expect(reason).toMatchObject({ code: "rpc.cancelled" });
    expect(router.callsInFlight).toBe(0);
  });

  it("whose reader leaves the loop closes the handler's iterator", async () => {
    const { router, caller } = wire;
    let isClosed = false;
    router.handle(OPEN, async function* (_request, { signal }) {
      try {
        while (!signal.aborted) {
          yield { expired: {} };
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      } finally {
        isClosed = true;
      }
    });
    for await (const event of caller.serverStream(OPEN, {})) {
      expect(event.expired).toBeDefined();
      break;
    }
    await until(() => isClosed);
    await until(() => router.callsInFlight === 0);
  });

  it("refused before all was sent stops its sender", async () => {
    const { router, caller } = wire;
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
    await expect(caller.clientStream(COLLECT, endless)).rejects.toMatchObject({ code: "authz.denied" });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const after = sent;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent).toBe(after);
    await until(() => router.callsInFlight === 0);
  });

  it("holds a handler that streams faster than its caller reads", async () => {
    const { router, caller } = wire;
    let made = 0;
    const size = 50_000;
    router.handle(OPEN, async function* () {
      for (; made < 200; made += 1) yield { opened: { code: "x".repeat(size), uri: "", expiresAt: made } };
    });
    const answers = caller.serverStream(OPEN, {});
    await answers.next();
    await new Promise((resolve) => setTimeout(resolve, 100));
    // Both windows, both queues, and what sockets take.
    expect(made * size).toBeLessThan(4_000_000);
    let count = 1;
    while (!(await answers.next()).done) count += 1;
    expect(count).toBe(200);
  });

  it("holds a caller that streams faster than the handler takes", async () => {
    const { router, caller } = wire;
    let sent = 0;
    let take: (() => void) | undefined;
    router.handle(COLLECT, async (requests) => {
      let count = 0;
      for await (const _ of requests) {
        count += 1;
        if (count === 1) await new Promise<void>((resolve) => (take = resolve));
      }
      return { payload: Uint8Array.of(count) };
    });
    const many = (async function* () {
      for (; sent < 200; sent += 1) yield { payload: new Uint8Array(50_000) };
    })();
    const answer = caller.clientStream(COLLECT, many);
    await until(() => take !== undefined);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(sent * 50_000).toBeLessThan(4_000_000);
    take?.();
    expect([...(await answer).payload]).toEqual([200]);
  });

  it("is one of many at once", async () => {
    const { router, caller } = wire;
    router.handle(PING, async ({ payload }) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      return { payload };
    });
    const numbers = Array.from({ length: 200 }, (_, at) => at);
    const answers = await Promise.all(
      numbers.map((at) => caller.unary(PING, { payload: Uint8Array.of(at) })),
    );
    expect(answers.map(({ payload }) => payload[0])).toEqual(numbers);
  });

  it("is told when the gatehouse is about to go", async () => {
    const { router, caller } = wire;
    router.handle(PING, never);
    const ending = caller.unary(PING, {}).catch((failure: unknown) => failure);
    await until(() => router.callsInFlight === 1);
    await router.drain(20);
    expect(await ending).toMatchObject({ code: "rpc.draining" });
    await expect(caller.unary(PING, {})).rejects.toMatchObject({ code: "rpc.draining" });
  });
});
