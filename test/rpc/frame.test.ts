import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, LIMITS } from "../../src/core/index.ts";
import { gatehouse } from "../../src/gen/index.ts";
import {
  type Close,
  encodeAnswer,
  encodeCall,
  encodeClose,
  encodeMessage,
  encodeOpen,
  type Frame,
  FrameDecoder,
  type Open,
  readFrame,
} from "../../src/rpc/index.ts";
import { framesOf } from "./support.ts";

const { Frame: Generated } = gatehouse.v1;

const opens: fc.Arbitrary<Open> = fc.record({
  method: fc.string({ unit: "grapheme-ascii", maxLength: 120 }),
  timeoutMs: fc.nat(600_000),
  requestId: fc.option(fc.uint8Array({ minLength: 16, maxLength: 16 }), { nil: undefined }),
  traceparent: fc.string({ unit: "grapheme-ascii", maxLength: 60 }),
});
const closes: fc.Arbitrary<Close> = fc.record({
  status: fc.integer({ min: 1, max: 16 }),
  code: fc.string(),
  message: fc.string({ unit: "grapheme" }),
  hint: fc.string(),
  retryAfterMs: fc.nat(0xffff_ffff),
});
const messages = fc.uint8Array({ maxLength: 300 });

/** What the generated codec reads, in our words; undefined where it refuses or sees none. */
function generatedReading(payload: Uint8Array): Frame | undefined {
  let frame: gatehouse.v1.Frame;
  try {
    frame = Generated.decode(payload);
  } catch {
    return undefined;
  }
  const { open, message, close } = frame;
  if (!open && !message && !close) return undefined;
  if (message) return { kind: "message", bytes: new Uint8Array(message) };
  if (close) return { kind: "close", close: plainClose(close) };
  const id = open?.requestId ?? new Uint8Array();
  const { method = "", timeoutMs = 0, traceparent = "" } = open ?? {};
  if ((id.length !== 0 && id.length !== 16) || (method ?? "").length > LIMITS.methodNameBytes)
    return undefined;
  if ((traceparent ?? "").length > 128) return undefined;
  return {
    kind: "open",
    open: {
      method: method ?? "",
      timeoutMs: timeoutMs ?? 0,
      requestId: id.length === 0 ? undefined : new Uint8Array(id),
      traceparent: traceparent ?? "",
    },
  };
}

function plainClose(close: gatehouse.v1.Close.$Properties): Close {
  const { status, code, message, hint, retryAfterMs } = close;
  return {
    status: status ?? 0,
    code: code ?? "",
    message: message ?? "",
    hint: hint ?? "",
    retryAfterMs: retryAfterMs ?? 0,
  };
}

function ownReading(payload: Uint8Array): Frame | undefined {
  try {
    const frame = readFrame(payload);
    return frame.kind === "message" ? { kind: "message", bytes: new Uint8Array(frame.bytes) } : frame;
  } catch {
    return undefined;
  }
}

/** Bytes near enough to a frame to reach the hand-written paths. */
const nearFrames = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc
    .tuple(
      fc.oneof(opens.map(encodeOpen), closes.map(encodeClose), messages.map(encodeMessage)),
      fc.nat(),
      fc.nat(255),
    )
    .map(([bytes, at, value]) => {
      const payload = bytes.slice(bytes.length > 128 ? 2 : 1);
      payload[at % payload.length] = value;
      return payload;
    }),
);

describe("a frame", () => {
  it("reads by hand as the generated codec reads it, whatever the bytes", () => {
    fc.assert(
      fc.property(nearFrames, (payload) => {
        expect(ownReading(payload)).toEqual(generatedReading(payload));
      }),
      { numRuns: 5_000 },
    );
  });

  it("comes back as it was written", () => {
    fc.assert(
      fc.property(opens, messages, closes, (open, message, close) => {
        const written = [encodeOpen(open), encodeMessage(message), encodeClose(close)];
        expect(framesOf(written)).toEqual([
          { kind: "open", open },
          { kind: "message", bytes: message },
          { kind: "close", close },
        ]);
      }),
    );
  });

  it("is written by hand as the generated codec would take it", () => {
    fc.assert(
      fc.property(opens, messages, (open, message) => {
        const apart = concat(encodeOpen(open), encodeMessage(message));
        expect(new Uint8Array(encodeCall(open, message))).toEqual(new Uint8Array(apart));
        const frames = framesOf([apart]);
        const again = frames.map((frame) =>
          Generated.encode(
            frame.kind === "open"
              ? { open: { ...open, requestId: open.requestId ?? new Uint8Array() } }
              : { message },
          ).finish(),
        );
        expect(again.map(ownReading)).toEqual(frames);
      }),
    );
  });

  it("of an answer is the message and success", () => {
    const answer = framesOf([encodeAnswer(Uint8Array.of(1, 2))]);
    expect(answer.map(({ kind }) => kind)).toEqual(["message", "close"]);
    expect(answer[1]).toMatchObject({ close: { status: 0, code: "" } });
  });

  it("with two kinds is the last of them, as protobuf has it", () => {
    const both = concat(
      Generated.encode({ message: Uint8Array.of(1) }).finish(),
      Generated.encode({ close: { status: 3 } }).finish(),
    );
    expect(readFrame(both)).toMatchObject({ kind: "close", close: { status: 3 } });
  });

  it("with fields from a later version is read for what it is", () => {
    const later = concat(Generated.encode({ message: Uint8Array.of(7) }).finish(), Uint8Array.of(0x78, 1));
    expect(ownReading(later)).toEqual({ kind: "message", bytes: Uint8Array.of(7) });
  });

  it("with a message above the limit is neither written nor read", () => {
    const large = new Uint8Array(LIMITS.messageBytes + 1);
    const tooLarge = expect.objectContaining({ code: "rpc.too-large" });
    expect(() => encodeMessage(large)).toThrow(tooLarge);
    expect(() => readFrame(Generated.encode({ message: large }).finish())).toThrow(tooLarge);
    expect(readFrame(Generated.encode({ message: large.subarray(1) }).finish()).kind).toBe("message");
  });
});

describe("the frame decoder", () => {
  it("finds the same frames however the bytes are split", () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(opens, fc.array(messages), closes, cuts, (open, all, close, sizes) => {
        const bytes = concat(encodeOpen(open), ...all.map(encodeMessage), encodeClose(close));
        const chunks: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
          const size = sizes[turn % sizes.length] ?? 1;
          chunks.push(bytes.slice(at, at + size));
          at += size;
        }
        expect(framesOf(chunks)).toEqual(framesOf([bytes]));
      }),
    );
  });

  it("keeps what is unread when the chunk goes back to its lender", () => {
    const decoder = new FrameDecoder();
    const chunk = concat(encodeMessage(Uint8Array.of(1)), encodeMessage(Uint8Array.of(2)));
    decoder.push(chunk);
    decoder.next();
    decoder.keep();
    chunk.fill(0xaa);
    expect(decoder.next()).toEqual({ kind: "message", bytes: Uint8Array.of(2) });
    expect(decoder.unreadBytes).toBe(0);
  });

  it("reads a whole frame where it lies", () => {
    const decoder = new FrameDecoder();
    const chunk = encodeMessage(new Uint8Array(64));
    decoder.push(chunk);
    const frame = decoder.next();
    expect(frame?.kind === "message" && frame.bytes.buffer).toBe(chunk.buffer);
  });

  it("gives nothing for a frame cut off anywhere", () => {
    const bytes = encodeMessage(Uint8Array.from({ length: 200 }, (_, index) => index));
    for (let length = 0; length < bytes.length; length += 1) {
      const decoder = new FrameDecoder();
      decoder.push(bytes.subarray(0, length));
      expect(decoder.next()).toBeUndefined();
      expect(decoder.unreadBytes).toBe(length);
    }
  });

  it.each([
    ["a length above the limit", Uint8Array.of(0x81, 0x80, 0x44), "rpc.too-large"],
    ["a length of four bytes", Uint8Array.of(0x80, 0x80, 0x80, 0x01), "rpc.bad-frame"],
    ["a length not in its shortest form", Uint8Array.of(0x81, 0x00), "rpc.bad-frame"],
    ["an empty frame", Uint8Array.of(0), "rpc.bad-frame"],
  ])("refuses %s before anything of it is buffered", (_what, prefix, code) => {
    const decoder = new FrameDecoder();
    decoder.push(prefix);
    expect(() => decoder.next()).toThrow(expect.objectContaining({ code }));
  });

  it("takes a frame of exactly the limit's length prefix", () => {
    const decoder = new FrameDecoder();
    decoder.push(Uint8Array.of(0x80, 0x80, 0x44));
    expect(decoder.next()).toBeUndefined();
  });
});
