import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, LIMITS } from "../../src/core/index.ts";
import { MessageReader, prefixed } from "../../src/grpc/message-reader.ts";
import { FrameDecoder } from "../../src/rpc/index.ts";

/** What the router would get of these chunks. */
function messagesOf(chunks: readonly Uint8Array[]): { messages: Uint8Array[]; isWhole: boolean } {
  const reader = new MessageReader();
  const decoder = new FrameDecoder();
  const messages: Uint8Array[] = [];
  for (const chunk of chunks) {
    for (const bytes of reader.read(chunk)) {
      decoder.push(bytes);
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        if (frame.kind !== "message") throw new Error(`a frame of the kind ${frame.kind}`);
        messages.push(Uint8Array.from(frame.bytes));
      }
      decoder.keep();
    }
  }
  return { messages, isWhole: reader.isBetweenMessages && decoder.unreadBytes === 0 };
}

const chunksOf = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) => bytes.slice(at * size, (at + 1) * size));

const sent = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 });

describe("gRPC messages", () => {
  it("are the router's, however their bytes are split", () => {
    fc.assert(
      fc.property(sent, fc.integer({ min: 1, max: 60 }), (messages, size) => {
        const read = messagesOf(chunksOf(concat(...messages.map(prefixed)), size));
        expect(read).toEqual({ messages, isWhole: true });
      }),
    );
  });

  it("cut off anywhere are not taken for whole", () => {
    const bytes = concat(prefixed(Uint8Array.of(1, 2, 3)), prefixed(new Uint8Array()));
    const ends = [0, 8, 13];
    for (let length = 0; length <= bytes.length; length += 1) {
      expect(messagesOf([bytes.subarray(0, length)]).isWhole).toBe(ends.includes(length));
    }
  });

  it("too large are refused by their prefix, before anything is waited for", () => {
    const prefix = prefixed(new Uint8Array());
    prefix.writeUInt32BE(LIMITS.messageBytes + 1, 1);
    expect(() => messagesOf([prefix])).toThrow(expect.objectContaining({ code: "rpc.too-large" }));
    prefix.writeUInt32BE(0xffff_ffff, 1);
    expect(() => messagesOf(chunksOf(prefix, 1))).toThrow(expect.objectContaining({ code: "rpc.too-large" }));
  });

  it("compressed, or behind any other flag, are refused", () => {
    for (const flag of [1, 2, 255]) {
      const bytes = prefixed(Uint8Array.of(1));
      bytes[0] = flag;
      expect(() => messagesOf([bytes])).toThrow(expect.objectContaining({ code: "rpc.bad-frame" }));
    }
  });
});
