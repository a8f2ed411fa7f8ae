import { describe, expect, it } from "vitest";
import { GatehouseError } from "../../src/core/index.ts";
import { encodeClose, FrameDecoder, type MayRepeat, type PendingCall } from "../../src/rpc/index.ts";
import { connectionLost, type MemoryStream, memoryStreams, settled } from "../support/memory-wire.ts";
import { framesOf, house, PING } from "./support.ts";

const TOO_EARLY = { status: 14, code: "rpc.too-early", message: "later", hint: "", retryAfterMs: 0 };
const once: MayRepeat = ({ attempts }) => attempts < 2;

/** Streams whose far ends the test plays. */
function wire() {
  const opened: { near: MemoryStream; far: MemoryStream; call: PendingCall }[] = [];
  const open = (call: PendingCall): MemoryStream => {
    const pair = memoryStreams();
    opened.push({ ...pair, call });
    return pair.near;
  };
  const at = (index: number) => {
    const found = opened[index];
    if (found === undefined) throw new Error(`attempt ${index} was not made`);
    return found;
  };
  return { opened, open, at };
}

const openOf = (stream: MemoryStream) => {
  const [frame] = framesOf(stream.written);
  if (frame?.kind !== "open") throw new Error("the call was not opened");
  return frame.open;
};

describe("a call that may be repeated", () => {
  it("is sent again under its request id when its connection is lost, and the caller sees the second answer", async () => {
    const { caller, router } = house();
    router.handle(PING, ({ payload }) => ({ payload }));
    const { open, at, opened } = wire();
    const called = caller.unary(open, PING, { payload: Uint8Array.of(7) }, { timeoutMs: 1_000 }, once);
    at(0).near.drop(connectionLost());
    await settled();
    expect(openOf(at(1).near).requestId).toEqual(openOf(at(0).near).requestId);
    router.serve(at(1).far, "someone");
    expect((await called).payload).toEqual(Uint8Array.of(7));
    expect(opened).toHaveLength(2);
  });

  it("is told how much of its time is left when it is sent again", async () => {
    const { caller, clock } = house();
    const { open, at } = wire();
    const called = caller.unary(open, PING, {}, { timeoutMs: 1_000 }, once);
    clock.advance(400);
    at(0).near.drop(connectionLost());
    await settled();
    expect([openOf(at(0).near).timeoutMs, openOf(at(1).near).timeoutMs]).toEqual([1_000, 600]);
    clock.advance(620);
    await expect(called).rejects.toMatchObject({ code: "rpc.deadline" });
  });

  it("is repeated on the gatehouse's word too, and a late end of the first stream says nothing of the second", async () => {
    const { caller, router } = house();
    router.handle(PING, () => ({}));
    const { open, at } = wire();
    const called = caller.unary(open, PING, {}, {}, (_call, { code }) => code === "rpc.too-early");
    at(0).far.write(encodeClose(TOO_EARLY), false);
    await settled();
    at(0).far.write(new Uint8Array(), true);
    at(0).near.drop(connectionLost());
    await settled();
    router.serve(at(1).far, "someone");
    await expect(called).resolves.toBeDefined();
  });

  it("forgets the half of an answer that it had", async () => {
    const { caller, router } = house();
    router.handle(PING, () => ({ payload: Uint8Array.of(2) }));
    const { open, at } = wire();
    const called = caller.unary(open, PING, {}, {}, once);
    const whole = memoryStreams();
    router.serve(whole.far, "someone");
    whole.near.write(at(0).near.written[0] ?? new Uint8Array(), true);
    await settled();
    const answer = whole.far.written[0] ?? new Uint8Array();
    // The message has come, its close has not.
    const decoder = new FrameDecoder();
    decoder.push(answer.subarray(0, -3));
    expect(decoder.next()?.kind).toBe("message");
    at(0).far.write(answer.subarray(0, -3), false);
    await settled();
    at(0).near.drop(connectionLost());
    await settled();
    router.serve(at(1).far, "someone");
    expect((await called).payload).toEqual(Uint8Array.of(2));
  });

  it("ends with what it is told when it may not be repeated any more", async () => {
    const { caller } = house();
    const { open, at, opened } = wire();
    const called = caller.unary(open, PING, {}, {}, once);
    at(0).near.drop(connectionLost());
    await settled();
    at(1).near.drop(new GatehouseError("device.revoked", "this device was revoked"));
    await expect(called).rejects.toMatchObject({ code: "device.revoked" });
    expect(opened).toHaveLength(2);
  });

  it("is not sent again when its time is up or its caller has left", async () => {
    const { caller, clock } = house();
    const { open, opened } = wire();
    const late = caller.unary(open, PING, {}, { timeoutMs: 100 }, () => true);
    clock.advance(120);
    await expect(late).rejects.toMatchObject({ code: "rpc.deadline" });
    const controller = new AbortController();
    const left = caller.unary(open, PING, {}, { signal: controller.signal }, () => true);
    controller.abort();
    await expect(left).rejects.toMatchObject({ code: "rpc.cancelled" });
    await settled();
    expect(opened).toHaveLength(2);
  });

  it("can be given another stream by whoever carries it, and leaves the first one reset", async () => {
    const { caller, router } = house();
    router.handle(PING, () => ({}));
    const { open, at } = wire();
    const called = caller.unary(open, PING, {}, {}, () => false);
    at(0).call.repeat();
    await settled();
    expect(at(0).near.resetCode).toBe(0);
    router.serve(at(1).far, "someone");
    await called;
    expect(at(1).call.isOver).toBe(true);
    at(1).call.repeat();
    expect(at(1).call.attempts).toBe(2);
  });

  it("does not take a stream that was still being opened when it was given up", async () => {
    const { caller, router } = house();
    router.handle(PING, () => ({}));
    const slow = memoryStreams();
    const fast = memoryStreams();
    let admit: (stream: MemoryStream) => void = () => undefined;
    let pending: PendingCall | undefined;
    const waiting = new Promise<MemoryStream>((resolve) => {
      admit = resolve;
    });
    const called = caller.unary(
      (call) => {
        pending = call;
        return call.attempts === 1 ? waiting : fast.near;
      },
      PING,
      {},
      {},
      once,
    );
    pending?.repeat();
    admit(slow.near);
    await settled();
    expect(slow.near.written).toHaveLength(0);
    expect(slow.near.resetCode).toBe(0);
    router.serve(fast.far, "someone");
    await called;
  });
});
