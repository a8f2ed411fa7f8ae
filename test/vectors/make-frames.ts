/**
 * Vectors of `gatehouse/1`'s frames. What is right is written by the codec that is generated from the schema, behind a length of
 * this file's own: the code in src/rpc, which writes and reads by hand, has no part in it. What is wrong is written by hand.
 */
import { concat, fromHex, hex, LIMITS, utf8 } from "../../src/core/index.ts";
import { sha256 } from "../../src/crypto/index.ts";
import { gatehouse, METHODS } from "../../src/gen/index.ts";

const { Frame } = gatehouse.v1;

/** As protobuf's JSON has it, what is left out being 0 or empty; bytes are lower-case hex. */
export type FrameFacts =
  | { readonly kind: "open"; readonly open: OpenFacts }
  | { readonly kind: "message"; readonly message: string }
  /** So many bytes, the one at i being i mod 251. */
  | { readonly kind: "counting"; readonly size: number }
  | { readonly kind: "close"; readonly close: CloseFacts };

export interface OpenFacts {
  readonly method?: string;
  readonly timeoutMs?: number;
  readonly requestId?: string;
  readonly traceparent?: string;
}

export interface CloseFacts {
  readonly status?: number;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string;
  readonly retryAfterMs?: number;
}

export interface FrameVector {
  readonly name: string;
  readonly frame: FrameFacts;
  /** All of it, its length first; or, where that would be long, its `head`, which the message follows. */
  readonly bytes?: string;
  readonly head?: string;
  /** Of all of it. */
  readonly sha256?: string;
}

export interface CallVector {
  readonly name: string;
  readonly open: OpenFacts;
  /** In protobuf's JSON, with bytes in hex and without what is 0 or empty. */
  readonly request: Readonly<Record<string, unknown>>;
  readonly responses: readonly Readonly<Record<string, unknown>>[];
  readonly close: CloseFacts;
  /** The whole of each side; its stream's end follows. */
  readonly caller: string;
  readonly gatehouse: string;
}

export interface RefusedVector {
  readonly name: string;
  /**
   * `either` side, by the frame alone; the `gatehouse`, as a call of Health/Ping; the `caller`, as the answer to one.
   */
  readonly reader: "either" | "gatehouse" | "caller";
  readonly bytes: string;
  /** So many bytes of zero after them. */
  readonly zeros?: number;
  /** Whether the stream ends there. Of a frame alone it does not matter. */
  readonly ends: boolean;
  readonly code: string;
}

export interface FrameVectors {
  readonly about: string;
  readonly protocol: string;
  readonly frames: readonly FrameVector[];
  readonly spellings: readonly FrameVector[];
  readonly calls: readonly CallVector[];
  readonly refused: readonly RefusedVector[];
}

const ABOUT =
  "written by scripts/generate-frame-vectors.ts with the codec generated from schemas/gatehouse/v1/frame.proto; docs/protocol.md says what is what";
const REQUEST_ID = "000102030405060708090a0b0c0d0e0f";
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const PING = METHODS.Health.Ping.path;
/** A longer message is told by its head and a digest. */
const WHOLE_BYTES_MAX = 256;

export function makeFrameVectors(): FrameVectors {
  return {
    ...{ about: ABOUT, protocol: "gatehouse/1" },
    frames: [...opens(), ...messages(), ...closes()],
    ...{ spellings: spellings(), calls: calls(), refused: refused() },
  };
}

/** A message of `size` bytes that tells where each of them belongs. */
export function counting(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => index % 251);
}

function opens(): readonly FrameVector[] {
  const method = "/gatehouse.v1.Health/Ping";
  return [
    open("open with a method alone", { method }),
    open("open with everything", {
      ...{ method, timeoutMs: 30_000, requestId: REQUEST_ID, traceparent: TRACEPARENT },
    }),
    ...[1, 127, 128, 16_383, 16_384, 600_000, 0xffff_ffff].map((timeoutMs) =>
      open(`open with a time of ${timeoutMs} ms`, { method, timeoutMs }),
    ),
    open("open with a method of 127 bytes", { method: `/${"m".repeat(126)}` }),
    open("open with a method of 128 bytes, the longest", { method: `/${"m".repeat(127)}` }),
    open("open with a traceparent of 128 bytes, the longest", { method, traceparent: "0".repeat(128) }),
  ];
}

/** Where a length takes a byte more: the message's, and, two or three bytes earlier, its frame's. */
function messages(): readonly FrameVector[] {
  const edges = [0, 1, 125, 126, 127, 128, 16_380, 16_381, 16_383, 16_384, 1_048_576];
  return [
    { name: "a message", ...encoded({ kind: "message", message: hex(utf8("correct horse")) }) },
    ...edges.map((size) => ({
      name: `a message of ${size} bytes`,
      ...encoded({ kind: "counting", size }),
    })),
    {
      name: `a message of ${LIMITS.messageBytes} bytes, the largest`,
      ...encoded({ kind: "counting", size: LIMITS.messageBytes }),
    },
  ];
}

function closes(): readonly FrameVector[] {
  return [
    close("close with success", {}),
    close("close with a status and a code", { status: 5, code: "vault.not-found" }),
    close("close with everything", {
      ...{ status: 8, code: "rpc.rate-limited", message: "this device makes too many calls" },
      ...{ hint: "it may go on in a moment", retryAfterMs: 1_500 },
    }),
    close("close in words that are not ASCII", {
      status: 5,
      code: "vault.not-found",
      message: "nichts für dich ✗",
    }),
    close("close with the longest wait", { status: 14, code: "rpc.draining", retryAfterMs: 0xffff_ffff }),
    close("close with a code from a later version", {
      status: 9,
      code: "vault.on-fire",
      message: "it burns",
    }),
  ];
}

/** What is not how we write it, and means the same: other writers of protobuf may do so, and later versions add fields. */
function spellings(): readonly FrameVector[] {
  const all = { kind: "open", open: { method: "/a.B/C", timeoutMs: 5 } } as const;
  const message = { kind: "message", message: "07" } as const;
  const success = { kind: "close", close: {} } as const;
  const spelt = (name: string, frame: FrameFacts, payload: string): FrameVector => ({
    ...{ name, frame, bytes: hex(framed(fromHex(payload))) },
  });
  return [
    spelt("fields in another order", all, `0a0a1005${"0a06"}${hex(utf8("/a.B/C"))}`),
    spelt("a field that is 0 all the same", message, "120107"),
    spelt("a field's length in more bytes than it takes", message, "12810007"),
    spelt("a number in more bytes than it takes", all, `0a0c0a06${hex(utf8("/a.B/C"))}10858000`),
    spelt("a field inside that we do not know", all, `0a0d0a06${hex(utf8("/a.B/C"))}10057a0101`),
    spelt("a field beside that we do not know", message, "1201077801"),
    spelt("success with its 0 written out", success, "1a020800"),
    spelt("two kinds, of which the last counts", success, "1201071a00"),
    spelt("the same field twice, of which the last counts", message, "120106120107"),
    spelt("an empty request id, which is none", all, `0a0c0a06${hex(utf8("/a.B/C"))}10051a00`),
  ];
}

function calls(): readonly CallVector[] {
  const asked = { timeoutMs: 30_000, requestId: REQUEST_ID };
  const token = { path: "shared/db", version: 1 };
  return [
    call("unary", METHODS.Vault.Get, {
      open: asked,
      request: { path: "shared/db" },
      responses: [{ ...token, value: hex(utf8("correct horse")), createdAt: 1_800_000_000_000 }],
    }),
    call("unary, refused", METHODS.Vault.Get, {
      open: asked,
      request: { path: "no/such" },
      close: { status: 5, code: "vault.not-found", message: "no such secret" },
    }),
    call("unary, with an empty request", METHODS.Health.Ping, {
      open: {},
      request: {},
      responses: [{ payload: "00" }],
    }),
    call("unary, a change", METHODS.Vault.Put, {
      open: { ...asked, traceparent: TRACEPARENT },
      request: { path: "shared/db", value: hex(utf8("correct horse")), ifVersion: 0 },
      responses: [token],
    }),
    call("a stream of answers", METHODS.Approvals.Watch, {
      open: asked,
      request: {},
      responses: [
        { revision: 1, document: '{"version":1,"approvals":{},"more":0}' },
        { revision: 2, patch: '[{"op":"replace","path":"/more","value":1}]' },
      ],
    }),
    call("a stream of answers that ends with a failure", METHODS.Approvals.Watch, {
      open: asked,
      request: {},
      responses: [{ revision: 1, document: '{"version":1,"approvals":{},"more":0}' }],
      close: { status: 16, code: "device.revoked", message: "this device was revoked" },
    }),
  ];
}

function refused(): readonly RefusedVector[] {
  return [...refusedFrames(), ...refusedCalls(), ...refusedAnswers()];
}

function refusedFrames(): readonly RefusedVector[] {
  const frame = (name: string, bytes: string, code = "rpc.bad-frame", zeros = 0): RefusedVector => ({
    ...{ name, reader: "either", bytes, ...(zeros === 0 ? {} : { zeros }), ends: false, code },
  });
  const payload = (name: string, content: string): RefusedVector =>
    frame(name, hex(framed(fromHex(content))));
  const long = (size: number) => hex(utf8("x".repeat(size)));
  return [
    frame("a frame of no bytes", "00"),
    frame("a frame's length in more bytes than it takes", "8100"),
    frame("a frame's length of four bytes", "80808001"),
    frame(`a frame of ${LIMITS.frameBytes + 1} bytes, by its length alone`, "818044", "rpc.too-large"),
    frame(
      `a message of ${LIMITS.messageBytes + 1} bytes`,
      `${hex(varint(LIMITS.messageBytes + 5))}12${hex(varint(LIMITS.messageBytes + 1))}`,
      "rpc.too-large",
      LIMITS.messageBytes + 1,
    ),
    payload("a frame of a kind that we do not know", "220107"),
    payload("a frame of fields that are no kind", "7801"),
    payload("a kind of another wire type", "0801"),
    payload("a field that reaches past its frame", "120207"),
    payload("a frame that ends inside a field", "0a"),
    payload("a number cut off", "0a0210ff"),
    payload("a field of number 0", "000107"),
    payload("a request id of 15 bytes", `0a111a0f${"00".repeat(15)}`),
    payload("a request id of 17 bytes", `0a131a11${"00".repeat(17)}`),
    payload("a method of 129 bytes", `0a84010a8101${long(129)}`),
    payload("a traceparent of 129 bytes", `0a8401228101${long(129)}`),
    payload("a method that is no UTF-8", "0a040a022fff"),
    payload("a sentence that is no UTF-8", "1a041a02c3ff"),
  ];
}

function refusedCalls(): readonly RefusedVector[] {
  const pinged = framed(frameOf({ kind: "open", open: { method: PING } }));
  const none = framed(frameOf({ kind: "message", message: "" }));
  const success = framed(frameOf({ kind: "close", close: {} }));
  const unknown = framed(frameOf({ kind: "open", open: { method: "/gatehouse.v1.Health/Sing" } }));
  const wrong = framed(frameOf({ kind: "message", message: "0a05" }));
  const made = (name: string, parts: readonly Uint8Array[], code = "rpc.bad-frame"): RefusedVector => ({
    ...{ name, reader: "gatehouse", bytes: hex(concat(...parts)), ends: true, code },
  });
  return [
    made("a call of no bytes", []),
    made("a call that ends inside its first frame", [pinged.subarray(0, -1)]),
    made("a call that ends before its message", [pinged]),
    made("a call that ends inside its message", [
      pinged,
      framed(frameOf({ kind: "message", message: "00" })).subarray(0, -1),
    ]),
    made("a call with the first byte of another frame behind it", [pinged, none, none.subarray(0, 1)]),
    made("a call with a message too many", [pinged, none, none]),
    made("a call opened twice", [pinged, pinged, none]),
    made("a call that begins with its message", [none, pinged]),
    made("a call that its caller closes", [pinged, none, success]),
    made("a call of a method that there is not", [unknown, none], "rpc.unknown-method"),
    made("a message that does not decode", [pinged, wrong], "rpc.bad-message"),
  ];
}

function refusedAnswers(): readonly RefusedVector[] {
  const none = framed(frameOf({ kind: "message", message: "" }));
  const success = framed(frameOf({ kind: "close", close: {} }));
  const pinged = framed(frameOf({ kind: "open", open: { method: PING } }));
  const wrong = framed(frameOf({ kind: "message", message: "0a05" }));
  const later = framed(frameOf({ kind: "close", close: { status: 9, code: "vault.on-fire" } }));
  const answered = (name: string, parts: readonly Uint8Array[], code = "rpc.bad-frame"): RefusedVector => ({
    ...{ name, reader: "caller", bytes: hex(concat(...parts)), ends: true, code },
  });
  return [
    answered("an answer of no bytes", []),
    answered("an answer without its close", [none]),
    answered("a success without a message", [success]),
    answered("an answer that ends inside its close", [none, success.subarray(0, -1)]),
    answered("two messages for one", [none, none, success]),
    answered("an answer that opens a call", [pinged]),
    answered("an answer that does not decode", [wrong, success], "rpc.bad-message"),
    answered("a failure whose code is of a later version", [later], "rpc.unknown-error"),
  ];
}

function open(name: string, facts: OpenFacts): FrameVector {
  return { name, ...encoded({ kind: "open", open: facts }) };
}

function close(name: string, facts: CloseFacts): FrameVector {
  return { name, ...encoded({ kind: "close", close: facts }) };
}

function encoded(frame: FrameFacts): Omit<FrameVector, "name"> {
  const bytes = framed(frameOf(frame));
  if (frame.kind !== "counting" || frame.size <= WHOLE_BYTES_MAX) return { frame, bytes: hex(bytes) };
  return {
    frame,
    head: hex(bytes.subarray(0, bytes.length - frame.size)),
    sha256: hex(sha256(bytes)),
  };
}

function frameOf(frame: FrameFacts): Uint8Array {
  switch (frame.kind) {
    case "open":
      return Frame.encode({ open: openOf(frame.open) }).finish();
    case "message":
      return Frame.encode({ message: fromHex(frame.message) }).finish();
    case "counting":
      return Frame.encode({ message: counting(frame.size) }).finish();
    case "close":
      return Frame.encode({ close: frame.close }).finish();
  }
}

function openOf({ requestId, ...rest }: OpenFacts) {
  return requestId === undefined ? rest : { ...rest, requestId: fromHex(requestId) };
}

interface AnyCodec {
  readonly path: string;
  readonly request: { encode(fields: object): { finish(): Uint8Array } };
  readonly response: { encode(fields: object): { finish(): Uint8Array } };
}

function call(
  name: string,
  method: AnyCodec,
  parts: Pick<CallVector, "open" | "request"> & Partial<Pick<CallVector, "responses" | "close">>,
): CallVector {
  const { request, responses = [], close: end = {} } = parts;
  const opened = { method: method.path, ...parts.open };
  const message = (codec: AnyCodec["request"]) => (fields: Readonly<Record<string, unknown>>) =>
    framed(Frame.encode({ message: codec.encode(withBytes(fields)).finish() }).finish());
  return {
    ...{ name, open: opened, request, responses, close: end },
    caller: hex(concat(framed(frameOf({ kind: "open", open: opened })), message(method.request)(request))),
    gatehouse: hex(
      concat(...responses.map(message(method.response)), framed(frameOf({ kind: "close", close: end }))),
    ),
  };
}

/** Fields of messages in these vectors that are bytes. */
const BYTES = new Set(["payload", "value"]);

/** A message's fields, those that are bytes from hex. */
export function withBytes(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, BYTES.has(key) ? fromHex(String(value)) : value]),
  );
}

function framed(payload: Uint8Array): Uint8Array {
  return concat(varint(payload.length), payload);
}

/** Seven bits a byte, low first. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    bytes.push(rest < 128 ? rest : 128 + (rest % 128));
    if (rest < 128) return Uint8Array.from(bytes);
  }
}
