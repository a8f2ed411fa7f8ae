import { describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import { type CallStream, RESET, type StreamSink } from "../../src/rpc/index.ts";
import { closeCode, house, PING, pingBytes } from "./support.ts";

const VALUE = new Uint8Array(1_000_000);
const LARGE = pingBytes(VALUE);
/** Asks little and gets much. */
const ASKING = pingBytes(Uint8Array.of(1));
const FIT = Math.floor(LIMITS.heldBytesPerConnection / LARGE.length);

/** A caller that reads only when the test says so. */
class SlowReader implements CallStream {
  readonly written: Uint8Array[] = [];
  resetCode: number | undefined;
  sink: StreamSink | undefined;

  attach(sink: StreamSink): void {
    this.sink = sink;
  }

  write(bytes: Uint8Array, _fin: boolean): boolean {
    this.written.push(bytes);
    return bytes.length < LIMITS.streamWriteHighWaterBytes;
  }

  pause(): void {}
  resume(): void {}

  reset(code: number): void {
    this.resetCode = code;
  }
}

function crowd() {
  const { router } = house();
  router.handle(PING, ({ payload }) => ({ payload: payload.length === 1 ? VALUE : payload }));
  return (peer: string, bytes: Uint8Array, fin: boolean): SlowReader => {
    const stream = new SlowReader();
    router.serve(stream, peer);
    for (let at = 0; at < bytes.length; at += 65_536) {
      const end = Math.min(at + 65_536, bytes.length);
      stream.sink?.data(bytes.subarray(at, end), fin && end === bytes.length);
    }
    return stream;
  };
}

describe("calls of one connection that never end", () => {
  it("hold no more of their half-come requests than the limit, and small calls go on", () => {
    const call = crowd();
    const halves = Array.from({ length: 2 * FIT }, () => call("hostile", LARGE.subarray(0, -1), false));
    const refused = halves.filter((stream) => closeCode(stream) === "rpc.overloaded");
    expect(halves.length - refused.length).toBeLessThanOrEqual(FIT + 1);
    expect(closeCode(call("hostile", pingBytes(), true))).toBe("");
    expect(closeCode(call("honest", LARGE, true))).toBe("");
  });

  it("hold no more of their unread answers than the limit", () => {
    const call = crowd();
    const unread = Array.from({ length: 2 * FIT }, () => call("hostile", ASKING, true));
    const dropped = unread.filter(({ resetCode }) => resetCode === RESET.limit);
    expect(unread.length - dropped.length).toBeLessThanOrEqual(FIT + 1);
    expect(unread.length - dropped.length).toBeGreaterThan(FIT - 2);
  });

  it("give back what they held, however they end", () => {
    const call = crowd();
    for (let round = 0; round < 3; round += 1) {
      const halves = Array.from({ length: FIT - 1 }, () => call("hasty", LARGE.subarray(0, -1), false));
      expect(halves.map(({ written }) => written.length)).toEqual(halves.map(() => 0));
      for (const { sink } of halves) sink?.closed(undefined);
      const read = Array.from({ length: FIT - 1 }, () => call("hasty", LARGE, true));
      expect(read.map(({ resetCode }) => resetCode)).toEqual(read.map(() => undefined));
      for (const { sink } of read) sink?.drain();
    }
  });

  it("leave room for other connections only as long as there is room at all", () => {
    const call = crowd();
    const peers = Math.ceil(LIMITS.heldBytes / LIMITS.heldBytesPerConnection) + 1;
    const part = LARGE.subarray(0, -1);
    const held = Array.from({ length: peers }, (_, peer) =>
      Array.from({ length: FIT }, () => call(`hostile ${peer}`, part, false)),
    ).flat();
    const kept = held.filter(({ written }) => written.length === 0);
    expect(kept.length * part.length).toBeLessThanOrEqual(LIMITS.heldBytes + part.length);
  });
});
