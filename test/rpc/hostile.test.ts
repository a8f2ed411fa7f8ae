import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, LIMITS } from "../../src/core/index.ts";
import {
  type CallStream,
  type Close,
  encodeAnswer,
  encodeClose,
  encodeMessage,
  RESET,
  type StreamSink,
} from "../../src/rpc/index.ts";
import { settled } from "../support/memory-wire.ts";
import { COLLECT, closeCode, collect, ECHO, house, OPEN, PING, pingBytes } from "./support.ts";

const EMPTY = new Uint8Array();

/** A stream that delivers what the test says, when it says, and throws at whatever breaks the rules of the wire. */
class Probe implements CallStream {
  readonly written: Uint8Array[] = [];
  hasFinished = false;
  resetCode: number | undefined;
  sink: StreamSink | undefined;

  attach(sink: StreamSink): void {
    this.sink = sink;
  }

  write(bytes: Uint8Array, fin: boolean): boolean {
    if (this.hasFinished || this.resetCode !== undefined) throw new Error("write after the end");
    this.written.push(bytes);
    this.hasFinished = fin;
    return true;
  }

  pause(): void {}
  resume(): void {}

  reset(code: number): void {
    if (this.resetCode !== undefined) throw new Error("reset twice");
    this.resetCode = code;
  }
}

function servedHouse() {
  const made = house();
  made.router.handle(PING, ({ payload }) => ({ payload }));
  made.router.handle(OPEN, async function* ({ role }) {
    yield { opened: { code: role, uri: "", expiresAt: 1 } };
  });
  made.router.handle(COLLECT, async (requests) => ({
    payload: Uint8Array.of((await collect(requests)).length),
  }));
  made.router.handle(ECHO, async function* (requests) {
    for await (const { payload } of requests) yield { payload };
  });
  return made;
}

const calls = fc
  .tuple(
    fc.constantFrom(PING.path, OPEN.path, COLLECT.path, ECHO.path),
    fc.uint8Array({ maxLength: 50 }),
    fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 3 }),
  )
  .map(([path, payload, more]) => concat(pingBytes(payload, path), ...more.map(encodeMessage)));

const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  fc.tuple(calls, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 })).map(([bytes, changes]) => {
    const mutated = bytes.slice();
    for (const [at, value] of changes) mutated[at % mutated.length] = value;
    return mutated;
  }),
);
const ends = fc.constantFrom("fin", "silence", "lost" as const);

describe("the router, given arbitrary bytes", () => {
  it("throws nothing, answers at most once, and always comes to an end", async () => {
    const { router, clock } = servedHouse();
    await fc.assert(
      fc.asyncProperty(hostile, fc.integer({ min: 1, max: 64 }), ends, async (bytes, size, end) => {
        const probe = new Probe();
        router.serve(probe, "someone");
        for (let at = 0; at < bytes.length; at += size) {
          const chunk = bytes.slice(at, at + size);
          probe.sink?.data(chunk, end === "fin" && at + size >= bytes.length);
          chunk.fill(0xaa);
        }
        if (end === "fin" && bytes.length === 0) probe.sink?.data(EMPTY, true);
        if (end === "lost") probe.sink?.closed(undefined);
        await settled(2);
        clock.advance(2 * LIMITS.callTimeoutMaxMs);
        await settled(1);
        expect(router.callsInFlight).toBe(0);
        const isClosed = probe.hasFinished && closeCode(probe) !== undefined;
        expect(isClosed || probe.resetCode !== undefined || end === "lost").toBe(true);
      }),
      { numRuns: 1_500 },
    );
  });

  it("answers a call cut off at any length with a close", () => {
    const bytes = pingBytes(new Uint8Array(20));
    const { router } = servedHouse();
    for (let length = 0; length < bytes.length; length += 1) {
      const probe = new Probe();
      router.serve(probe, "someone");
      probe.sink?.data(bytes.slice(0, length), true);
      expect(closeCode(probe)).toBe("rpc.bad-frame");
    }
  });

  it("answers a call with any one bit flipped, or ends it", () => {
    const bytes = pingBytes(new Uint8Array(20));
    const { router, clock } = servedHouse();
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const probe = new Probe();
      router.serve(probe, "someone");
      probe.sink?.data(flipped, true);
      expect(probe.hasFinished).toBe(true);
      expect(closeCode(probe)).toBeDefined();
    }
    clock.advance(LIMITS.streamStallMs);
    expect(router.callsInFlight).toBe(0);
  });

  it("ignores what comes after its close", () => {
    const { router } = servedHouse();
    const probe = new Probe();
    router.serve(probe, "someone");
    probe.sink?.data(Uint8Array.of(0), false);
    expect(closeCode(probe)).toBe("rpc.bad-frame");
    for (let count = 0; count < 100; count += 1) probe.sink?.data(pingBytes(), count === 99);
    expect(probe.written).toHaveLength(1);
  });

  it("gives a wire's late words no meaning", () => {
    const { router } = servedHouse();
    const probe = new Probe();
    router.serve(probe, "someone");
    probe.sink?.data(pingBytes(), true);
    probe.sink?.drain();
    probe.sink?.closed(undefined);
    probe.sink?.data(pingBytes(), true);
    expect(probe.written).toHaveLength(1);
  });
});

describe("the caller, given arbitrary answers", () => {
  const close: Close = { status: 7, code: "authz.denied", message: "no", hint: "", retryAfterMs: 0 };
  const success = encodeClose({ ...close, status: 0 });

  async function answered(bytes: Uint8Array, fin = true) {
    const { caller } = house();
    const probe = new Probe();
    const answer = caller
      .unary(() => probe, PING, {})
      .then(
        () => "answered",
        (failure: unknown) => failure,
      );
    probe.sink?.data(bytes, fin);
    return { outcome: await answer, probe };
  }

  it.each([
    ["nothing", EMPTY, "rpc.bad-frame"],
    ["an answer without a close", encodeMessage(EMPTY), "rpc.bad-frame"],
    ["a close without an answer", success, "rpc.bad-frame"],
    ["two answers", concat(encodeMessage(EMPTY), encodeMessage(EMPTY), success), "rpc.bad-frame"],
    ["a call of its own", pingBytes(), "rpc.bad-frame"],
    ["half an answer", encodeAnswer(EMPTY).subarray(0, -1), "rpc.bad-frame"],
    ["a frame above the limit", Uint8Array.of(0xff, 0xff, 0x7f), "rpc.too-large"],
    ["an answer of another type", encodeAnswer(Uint8Array.of(0x0a, 9)), "rpc.bad-message"],
    ["a refusal", encodeClose(close), "authz.denied"],
    ["an error from a later version", encodeClose({ ...close, code: "vault.on-fire" }), "rpc.unknown-error"],
    ["an error without a code", encodeClose({ ...close, code: "" }), "rpc.unknown-error"],
  ])("takes %s for what it is", async (_what, bytes, code) => {
    const { outcome } = await answered(bytes);
    expect(outcome).toMatchObject({ code });
  });

  it("resets the stream of a peer that breaks the protocol", async () => {
    const { probe } = await answered(pingBytes());
    expect(probe.resetCode).toBe(RESET.protocol);
  });

  it("lets no control characters of a peer through to the terminal", async () => {
    const words = { message: "\u001b[2Jno\u202e", hint: "do\u0007 this" };
    const { outcome } = await answered(encodeClose({ ...close, ...words }));
    expect(outcome).toMatchObject({ message: "[2Jno", hint: "do this" });
  });

  it("ends with an answer or an error, whatever the bytes", async () => {
    const answers = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc
        .tuple(fc.uint8Array({ maxLength: 30 }).map(encodeAnswer), fc.nat(), fc.nat(255))
        .map(([bytes, at, value]) => {
          const mutated = bytes.slice();
          mutated[at % mutated.length] = value;
          return mutated;
        }),
    );
    await fc.assert(
      fc.asyncProperty(answers, async (bytes) => {
        const { outcome } = await answered(bytes);
        expect(outcome === "answered" || outcome instanceof Error).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it("throws an error of a stream once, and then is at its end", async () => {
    const { caller } = house();
    const probe = new Probe();
    const stream = caller.serverStream(() => probe, OPEN, {});
    probe.sink?.data(encodeClose(close), true);
    await expect(stream.next()).rejects.toMatchObject({ code: "authz.denied" });
    await expect(stream.next()).resolves.toEqual({ done: true, value: undefined });
  });

  it("reads what was sent before the connection went, when the gatehouse had finished", async () => {
    const { caller } = house();
    const probe = new Probe();
    const stream = caller.serverStream(() => probe, OPEN, {});
    probe.sink?.data(concat(encodeMessage(EMPTY), encodeMessage(EMPTY), success), true);
    probe.sink?.closed(undefined);
    await expect(collect(stream)).resolves.toHaveLength(2);
  });
});
