import { describe, expect, it } from "vitest";
import { concat, GatehouseError, LIMITS } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { encodeCall, encodeMessage, encodeOpen, type Interceptor, RESET } from "../../src/rpc/index.ts";
import { memoryStreams, settled } from "../support/memory-wire.ts";
import { closeCode, house, OPEN, PING, PUT, pingBytes, REQUEST_ID, STATUS } from "./support.ts";

const open = (method: string) => encodeOpen({ method, timeoutMs: 0, requestId: REQUEST_ID, traceparent: "" });
const EMPTY = new Uint8Array();

describe("the router", () => {
  it("takes one handler for each method, and knows which are missing", () => {
    const { router } = house();
    router.handle(PING, () => ({}));
    expect(() => router.handle(PING, () => ({}))).toThrow(TypeError);
    expect(() => router.assertHandles(METHODS)).toThrow(/nothing handles \/gatehouse\.v1\./);
    expect(() => router.assertHandles({ Health: { Ping: PING } })).not.toThrow();
  });

  it.each([
    ["nothing at all", EMPTY, "rpc.bad-frame"],
    ["a message first", encodeMessage(EMPTY), "rpc.bad-frame"],
    ["an open and no message", open(PING.path), "rpc.bad-frame"],
    ["half a frame", pingBytes().subarray(0, -1), "rpc.bad-frame"],
    ["two messages", concat(open(PING.path), encodeMessage(EMPTY), encodeMessage(EMPTY)), "rpc.bad-frame"],
    ["two opens", concat(open(PING.path), open(PING.path)), "rpc.bad-frame"],
    ["half a frame after a message", concat(pingBytes(), Uint8Array.of(9)), "rpc.bad-frame"],
    [
      "a message of another type",
      concat(open(PING.path), encodeMessage(Uint8Array.of(0x0a, 9))),
      "rpc.bad-message",
    ],
    ["a frame above the limit", Uint8Array.of(0xff, 0xff, 0x7f), "rpc.too-large"],
    ["a method of nobody's", pingBytes(EMPTY, "/nobody/Nothing"), "rpc.unknown-method"],
    ["no method", pingBytes(EMPTY, ""), "rpc.unknown-method"],
  ])("answers %s with a close that says so, once", async (_what, bytes, code) => {
    const { router, dial, streams } = house();
    let calls = 0;
    router.handle(PING, () => {
      calls += 1;
      return {};
    });
    dial().write(bytes, true);
    await settled();
    const far = streams[0]?.far;
    expect(far && closeCode(far)).toBe(code);
    expect(far?.written).toHaveLength(1);
    expect(far?.hasFinished).toBe(true);
    expect(calls).toBe(0);
    expect(router.callsInFlight).toBe(0);
  });

  it("does nothing of a request before its end is seen", async () => {
    const { router, dial } = house();
    let calls = 0;
    router.handle(PING, () => {
      calls += 1;
      return {};
    });
    const stream = dial();
    stream.write(pingBytes(), false);
    await settled();
    expect(calls).toBe(0);
    stream.write(EMPTY, true);
    await settled();
    expect(calls).toBe(1);
  });

  it("closes a call whose request stalls, and resets what still does not end", async () => {
    const { router, dial, streams, clock } = house();
    router.handle(PING, () => ({}));
    const stream = dial();
    stream.write(pingBytes().subarray(0, 50), false);
    await settled();
    clock.advance(LIMITS.streamStallMs + 20);
    const far = streams[0]?.far;
    expect(far && closeCode(far)).toBe("rpc.deadline");
    expect(far?.resetCode).toBeUndefined();
    clock.advance(LIMITS.streamStallMs + 20);
    expect(far?.resetCode).toBe(RESET.stalled);
  });

  it("closes a stream on which nothing is ever said", async () => {
    const { dial, streams, clock, router } = house();
    dial();
    clock.advance(LIMITS.streamStallMs + 20);
    const far = streams[0]?.far;
    expect(far && closeCode(far)).toBe("rpc.deadline");
    expect(router.callsInFlight).toBe(0);
  });

  it("lets a slow request go on as long as it goes on, but not past its deadline", async () => {
    const { router, dial, streams, clock } = house();
    router.handle(PUT, () => ({}));
    const stream = dial();
    const body = encodeMessage(new Uint8Array(1_000));
    stream.write(open(PUT.path), false);
    for (let at = 0; at < 40; at += 1) {
      stream.write(body.subarray(at, at + 1), false);
      await settled(1);
      clock.advance(LIMITS.streamStallMs - 100);
      expect(streams[0]?.far.written).toHaveLength(0);
    }
    while (clock.monotonicMs() < LIMITS.callTimeoutMaxMs) clock.advance(1_000);
    clock.advance(20);
    const far = streams[0]?.far;
    expect(far && closeCode(far)).toBe("rpc.deadline");
  });

  it("resets a stream whose reader does not read its way to the end", async () => {
    const { router, dial, streams, clock } = house();
    let isClosed = false;
    router.handle(OPEN, async function* () {
      try {
        for (;;) yield { opened: { code: "x".repeat(1_000), uri: "", expiresAt: 0 } };
      } finally {
        isClosed = true;
      }
    });
    const stream = dial({ highWaterBytes: 5_000 });
    stream.attach({ data: () => undefined, drain: () => undefined, closed: () => undefined });
    stream.pause();
    stream.write(pingBytes(EMPTY, OPEN.path), true);
    await settled(20);
    clock.advance(1_020);
    await settled();
    expect(streams[0]?.far.resetCode).toBe(RESET.stalled);
    expect(isClosed).toBe(true);
    expect(router.callsInFlight).toBe(0);
  });

  it.each([
    ["lets a slow reader have its answer as long as the call's time lasts", true, undefined],
    ["resets an answer that is not read within the call's time", false, RESET.stalled],
  ])("%s", async (_title, readsInTime, resetCode) => {
    const { router, dial, streams, clock } = house();
    const timeoutMs = 6 * LIMITS.streamStallMs;
    router.handle(PING, () => ({ payload: new Uint8Array(10_000) }));
    const stream = dial({ highWaterBytes: 5_000 });
    stream.attach({ data: () => undefined, drain: () => undefined, closed: () => undefined });
    stream.pause();
    const call = { method: PING.path, timeoutMs, requestId: REQUEST_ID, traceparent: "" };
    stream.write(encodeCall(call, EMPTY), true);
    await settled();
    clock.advance(timeoutMs - 1_000);
    const far = streams[0]?.far;
    expect(far?.resetCode).toBeUndefined();
    if (readsInTime) stream.resume();
    await settled();
    clock.advance(2 * LIMITS.streamStallMs);
    expect(far?.resetCode).toBe(resetCode);
  });

  it("takes from early data only what has no side effects", async () => {
    const { router, dial, streams } = house();
    const early: boolean[] = [];
    router.handle(PING, (_request, { isEarlyData }) => {
      early.push(isEarlyData);
      return {};
    });
    router.handle(PUT, () => ({}));
    dial({}, true).write(pingBytes(), true);
    dial({}, true).write(pingBytes(EMPTY, PUT.path), true);
    dial().write(pingBytes(), true);
    await settled();
    expect(streams.map(({ far }) => closeCode(far))).toEqual(["", "rpc.too-early", ""]);
    expect(early).toEqual([true, false]);
  });

  it("leaves no timer behind when its calls are answered", async () => {
    const { router, dial, clock, streams } = house();
    router.handle(PING, async () => ({}));
    for (let count = 0; count < 100; count += 1) dial().write(pingBytes(), true);
    await settled();
    await router[Symbol.asyncDispose]();
    clock.advance(2 * LIMITS.callTimeoutMaxMs);
    expect(streams.every(({ far }) => far.resetCode === undefined && far.written.length === 1)).toBe(true);
  });
});

describe("draining", () => {
  it("refuses new calls and waits for those in flight", async () => {
    const { router, dial, streams } = house();
    const answers: ((fields: object) => void)[] = [];
    router.handle(PING, () => new Promise((resolve) => answers.push(resolve)));
    dial().write(pingBytes(), true);
    await settled();
    let isDrained = false;
    const drained = router.drain().then(() => {
      isDrained = true;
    });
    dial().write(pingBytes(), true);
    await settled();
    expect(streams[1] && closeCode(streams[1].far)).toBe("rpc.draining");
    expect(isDrained).toBe(false);
    for (const answer of answers) answer({});
    await drained;
    expect(streams[0] && closeCode(streams[0].far)).toBe("");
  });

  it("ends what is still in flight at its limit, and aborts the handlers", async () => {
    const { router, dial, streams, clock } = house();
    let reason: unknown;
    router.handle(PING, (_request, { signal }) => {
      signal.addEventListener("abort", () => {
        reason = signal.reason;
      });
      return new Promise(() => undefined);
    });
    const stream = dial();
    const encoded = encodeOpen({
      method: PING.path,
      timeoutMs: 60_000,
      requestId: undefined,
      traceparent: "",
    });
    stream.write(concat(encoded, encodeMessage(EMPTY)), true);
    await settled();
    const drained = router.drain(2_000);
    clock.advance(2_020);
    await drained;
    expect(streams[0] && closeCode(streams[0].far)).toBe("rpc.draining");
    expect(reason).toMatchObject({ code: "rpc.draining" });
  });

  it("is over at once when nothing is in flight", async () => {
    const { router } = house();
    await expect(router.drain()).resolves.toBe(false);
  });
});

describe("interceptors", () => {
  const tracing =
    (name: string, trace: string[]): Interceptor<string> =>
    async (context, _request, next) => {
      trace.push(`${name} in`);
      context.onEnd((error) => trace.push(`${name} end ${error?.code ?? "answered"}`));
      const answer = await next();
      trace.push(`${name} out`);
      return answer;
    };

  it("stand around a call in their order", async () => {
    const trace: string[] = [];
    const { router, caller, dial } = house([tracing("outer", trace), tracing("inner", trace)]);
    router.handle(PING, () => {
      trace.push("handler");
      return {};
    });
    await caller.unary(() => dial(), PING, {});
    expect(trace).toEqual([
      ...["outer in", "inner in", "handler", "inner out", "outer out"],
      ...["inner end answered", "outer end answered"],
    ]);
  });

  it("see the decoded request, and what they throw is the answer", async () => {
    const requests: unknown[] = [];
    const deny: Interceptor<string> = (_context, request) => {
      requests.push(request);
      throw new GatehouseError("authz.denied", "no");
    };
    const { router, caller, dial } = house([deny]);
    let calls = 0;
    router.handle(STATUS, () => {
      calls += 1;
      return {};
    });
    router.handle(OPEN, async function* () {
      calls += 1;
      yield {};
    });
    await expect(caller.unary(() => dial(), STATUS, {})).rejects.toMatchObject({ code: "authz.denied" });
    const stream = caller.serverStream(() => dial(), OPEN, { role: "ci" });
    await expect(stream.next()).rejects.toMatchObject({ code: "authz.denied" });
    expect(requests).toMatchObject([{}, { role: "ci" }]);
    expect(calls).toBe(0);
  });

  it("learn how a streaming call ended", async () => {
    const trace: string[] = [];
    const { router, caller, dial } = house([tracing("it", trace)]);
    router.handle(OPEN, async function* () {
      yield { expired: {} };
      throw new GatehouseError("pairing.paused", "later");
    });
    const stream = caller.serverStream(() => dial(), OPEN, {});
    await stream.next();
    await expect(stream.next()).rejects.toMatchObject({ code: "pairing.paused" });
    expect(trace).toEqual(["it in", "it out", "it end pairing.paused"]);
  });

  it("that fail at the end of a call harm nobody", async () => {
    const bad: Interceptor<string> = (context, _request, next) => {
      context.onEnd(() => {
        throw new Error("broken");
      });
      return next();
    };
    const { router, caller, dial, failures } = house([bad]);
    router.handle(PING, () => ({}));
    await expect(caller.unary(() => dial(), PING, {})).resolves.toBeDefined();
    expect(failures).toHaveLength(1);
  });
});

describe("a call's stream", () => {
  it("is answered even when the request was complete before anybody listened", async () => {
    const { router } = house();
    router.handle(PING, () => ({}));
    const { near, far } = memoryStreams();
    near.write(pingBytes(), true);
    await settled();
    router.serve(far, "someone");
    await settled();
    expect(closeCode(far)).toBe("");
  });
});
