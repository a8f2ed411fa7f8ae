/** What is written down for others, held against what we write and read ourselves. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { concat, fromHex, GatehouseError, hex, isErrorCode } from "../../src/core/index.ts";
import { sha256 } from "../../src/crypto/index.ts";
import { METHODS, type MethodDefinition } from "../../src/gen/index.ts";
import {
  type Close,
  encodeClose,
  encodeMessage,
  encodeMessageHead,
  encodeOpen,
  type Frame,
  FrameDecoder,
  type Open,
} from "../../src/rpc/index.ts";
import { byteByByte, type MemoryStream, memoryStreams, settled } from "../support/memory-wire.ts";
import {
  type CallVector,
  type CloseFacts,
  counting,
  type FrameFacts,
  type FrameVector,
  type FrameVectors,
  makeFrameVectors,
  type OpenFacts,
  withBytes,
} from "../vectors/make-frames.ts";
import { framesOf, house, PING } from "./support.ts";

const FILE = fileURLToPath(new URL("../vectors/frames.json", import.meta.url));
const text = readFileSync(FILE, "utf8");
const vectors = JSON.parse(text) as FrameVectors;
/** Every way to cut them in two is tried up to here. */
const SMALL_BYTES = 300;
/** Our encoder has one byte for the length of a name. */
const OWN_NAME_BYTES_MAX = 127;

function frameOf(facts: FrameFacts): Frame {
  switch (facts.kind) {
    case "open":
      return { kind: "open", open: openOf(facts.open) };
    case "message":
      return { kind: "message", bytes: fromHex(facts.message) };
    case "counting":
      return { kind: "message", bytes: counting(facts.size) };
    case "close":
      return { kind: "close", close: closeOf(facts.close) };
  }
}

function openOf({ method = "", timeoutMs = 0, requestId, traceparent = "" }: OpenFacts): Open {
  return {
    ...{ method, timeoutMs, traceparent },
    requestId: requestId === undefined ? undefined : fromHex(requestId),
  };
}

function closeOf({ status = 0, code = "", message = "", hint = "", retryAfterMs = 0 }: CloseFacts): Close {
  return { status, code, message, hint, retryAfterMs };
}

/** All of a vector's bytes. */
function bytesOf({ frame, bytes, head = "" }: FrameVector): Uint8Array {
  if (bytes !== undefined) return fromHex(bytes);
  const message = frameOf(frame);
  if (message.kind !== "message") throw new Error("only messages are told by their head");
  return concat(fromHex(head), message.bytes);
}

function encoded(frame: Frame): Uint8Array {
  switch (frame.kind) {
    case "open":
      return encodeOpen(frame.open);
    case "message":
      return encodeMessage(frame.bytes);
    case "close":
      return encodeClose(frame.close);
  }
}

/** Whether our own encoder makes it: names that take two bytes for their length it leaves to others. */
function isOurs({ frame }: FrameVector): boolean {
  if (frame.kind !== "open") return true;
  const { method, traceparent } = openOf(frame.open);
  return Math.max(method.length, traceparent.length) <= OWN_NAME_BYTES_MAX;
}

/** A megabyte is not looked at number by number. */
function comparable(frame: Frame): unknown {
  return frame.kind === "message" ? { kind: "message", bytes: shown(frame.bytes) } : frame;
}

function shown(bytes: Uint8Array): string {
  return bytes.length > SMALL_BYTES ? `sha256 ${hex(sha256(bytes))}` : hex(bytes);
}

/** Whole, byte by byte, and cut in two at every place. */
function waysToCut(bytes: Uint8Array): readonly (readonly Uint8Array[])[] {
  if (bytes.length === 0) return [[bytes]];
  const cuts = bytes.length > SMALL_BYTES ? [1, 2, 3, 4, 5, 6, 7, 8] : [...bytes.keys()];
  const halves = cuts.map((at) => [bytes.slice(0, at), bytes.slice(at)]);
  return [[bytes], ...(bytes.length > SMALL_BYTES ? [] : [byteByByte(bytes)]), ...halves];
}

/** What a frame reader says of these bytes, however they come: an error's code, or how many frames there were. */
function readingsOf(bytes: Uint8Array): ReadonlySet<string> {
  return new Set(
    waysToCut(bytes).map((chunks) => {
      try {
        return `${framesOf(chunks).length} frames`;
      } catch (failure) {
        return failure instanceof Error && "code" in failure ? String(failure.code) : String(failure);
      }
    }),
  );
}

type Fields = Record<string, unknown>;
type Method<Kind extends "unary" | "server"> = MethodDefinition<Kind, Fields, Fields, Fields, Fields>;

function methodOf({ open }: Pick<CallVector, "open">): Method<"unary"> | Method<"server"> {
  const all: readonly object[] = Object.values(METHODS).flatMap((methods) => Object.values(methods));
  const found = (all as readonly Method<"unary">[]).find(({ path }) => path === open.method);
  if (found === undefined) throw new Error(`there is no ${open.method}`);
  return found;
}

/** Writes it all, and ends the stream. */
function say(stream: MemoryStream, chunks: readonly Uint8Array[]): void {
  chunks.forEach((chunk, index) => {
    stream.write(chunk, index === chunks.length - 1);
  });
}

function failureOf({ code = "", message = "" }: CloseFacts): GatehouseError | undefined {
  return isErrorCode(code) ? new GatehouseError(code, message) : undefined;
}

/** What our gatehouse hears in these bytes, and says. Without a vector it serves pings. */
async function asked(chunks: readonly Uint8Array[], vector?: CallVector) {
  const { router, dial, streams } = house();
  const requests: unknown[] = [];
  const failure = failureOf(vector?.close ?? {});
  const answers = (vector?.responses ?? []).map(withBytes);
  const method = vector === undefined ? undefined : methodOf(vector);
  if (method === undefined) router.handle(PING, ({ payload }) => ({ payload }));
  else if (method.kind === "unary") {
    router.handle(method, (request) => {
      requests.push(request);
      if (failure !== undefined) throw failure;
      return answers[0] ?? {};
    });
  } else {
    router.handle(method, async function* (request) {
      requests.push(request);
      yield* answers;
      if (failure !== undefined) throw failure;
    });
  }
  say(dial(), chunks);
  await settled();
  const written = concat(...(streams[0]?.far.written ?? []));
  return { requests, written, answer: framesOf([written]).at(-1) };
}

/** What our caller makes of these bytes as the answer to a ping. */
function answered(chunks: readonly Uint8Array[]): Promise<unknown> {
  const { near, far } = memoryStreams();
  say(far, chunks);
  return house().caller.unary(() => near, PING, {});
}

/** What our caller says for a call, and what it hears when the vector's gatehouse answers. */
async function called(vector: CallVector) {
  const { near, far } = memoryStreams();
  say(far, [fromHex(vector.gatehouse)]);
  const { caller } = house();
  const { requestId, timeoutMs, traceparent } = openOf(vector.open);
  if (requestId === undefined) throw new Error("our caller always gives a request id");
  const options = { requestId, timeoutMs, traceparent };
  const method = methodOf(vector);
  const request = withBytes(vector.request);
  const answers: unknown[] = [];
  let code: unknown;
  try {
    if (method.kind === "unary") answers.push(await caller.unary(() => near, method, request, options));
    else for await (const one of caller.serverStream(() => near, method, request, options)) answers.push(one);
  } catch (failure) {
    code = failure instanceof GatehouseError ? failure.code : failure;
  }
  return { written: concat(...near.written), outcome: { answers, code } };
}

describe("test/vectors/frames.json", () => {
  it("is what scripts/generate-frame-vectors.ts makes now", () => {
    expect(`${JSON.stringify(makeFrameVectors(), undefined, 2)}\n`).toBe(text);
  });

  it.each(vectors.frames)("has $name as we read it, wherever it is cut", (vector) => {
    const bytes = bytesOf(vector);
    const expected = [comparable(frameOf(vector.frame))];
    for (const chunks of waysToCut(bytes)) expect(framesOf(chunks).map(comparable)).toEqual(expected);
  });

  it.each(vectors.frames.filter(({ sha256: digest }) => digest !== undefined))(
    "has the digest of $name",
    (vector) => {
      expect(hex(sha256(bytesOf(vector)))).toBe(vector.sha256);
    },
  );

  it.each(vectors.frames.filter(isOurs))("has $name as we write it", (vector) => {
    const frame = frameOf(vector.frame);
    expect(shown(encoded(frame))).toBe(shown(bytesOf(vector)));
  });

  it.each(vectors.frames.filter(({ head }) => head !== undefined))(
    "has the head of $name as a wire that learns the size first writes it",
    ({ frame, head = "" }) => {
      const message = frameOf(frame);
      expect(message.kind === "message" && hex(encodeMessageHead(message.bytes.length))).toBe(head);
    },
  );

  it.each(vectors.frames)("has nothing to read in $name before its last byte", (vector) => {
    const bytes = bytesOf(vector);
    const lengths = bytes.length > SMALL_BYTES ? [0, 1, 2, 3, 4, bytes.length - 1] : [...bytes.keys()];
    for (const length of lengths) {
      const decoder = new FrameDecoder();
      decoder.push(bytes.subarray(0, length));
      expect(decoder.next()).toBeUndefined();
    }
  });

  it.each(vectors.spellings)("has $name, which we read too", (vector) => {
    for (const chunks of waysToCut(bytesOf(vector)))
      expect(framesOf(chunks)).toEqual([frameOf(vector.frame)]);
  });

  it.each(vectors.refused.filter(({ reader }) => reader === "either"))(
    "has $name, which no side reads",
    ({ bytes, zeros = 0, code }) => {
      expect([...readingsOf(concat(fromHex(bytes), new Uint8Array(zeros)))]).toEqual([code]);
    },
  );

  it.each(vectors.refused.filter(({ reader }) => reader === "gatehouse"))(
    "has $name, which a gatehouse refuses",
    async ({ bytes, code }) => {
      for (const chunks of waysToCut(fromHex(bytes))) {
        const { answer } = await asked(chunks);
        expect(answer).toMatchObject({ kind: "close", close: { code } });
      }
    },
  );

  it.each(vectors.refused.filter(({ reader }) => reader === "caller"))(
    "has $name, which a caller does not take for an answer",
    async ({ bytes, code }) => {
      for (const chunks of waysToCut(fromHex(bytes))) {
        await expect(answered(chunks)).rejects.toMatchObject({ code });
      }
    },
  );

  it.each(vectors.calls.filter(({ open }) => open.requestId !== undefined))(
    "has the call $name as our caller makes and hears it",
    async (vector) => {
      const { written, outcome } = await called(vector);
      expect(hex(written)).toBe(vector.caller);
      const { close, responses } = vector;
      expect(outcome).toMatchObject({
        answers: responses.map(withBytes),
        code: close.code,
      });
    },
  );

  it.each(vectors.calls)("has the call $name as our gatehouse hears and answers it", async (vector) => {
    for (const chunks of waysToCut(fromHex(vector.caller))) {
      const { requests, written } = await asked(chunks, vector);
      expect(requests).toMatchObject([withBytes(vector.request)]);
      expect(hex(written)).toBe(vector.gatehouse);
    }
  });
});
