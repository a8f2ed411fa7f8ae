/** What opens a gRPC call: HTTP/2 headers in, the router's `Open` out (grpc/doc/PROTOCOL-HTTP2.md, "Requests"). */
import type { IncomingHttpHeaders } from "node:http2";
import { GatehouseError, LIMITS } from "../core/index.ts";
import { type Open, REQUEST_ID_BYTES } from "../rpc/index.ts";

/** Metadata key of a call's 16-byte request id, the same over its retries: base64, as gRPC sends all keys in `-bin`. */
export const REQUEST_ID_KEY = "gatehouse-request-id-bin";

export type RequestHead =
  | { readonly kind: "call"; readonly open: Open }
  /** Answered in gRPC's words. */
  | { readonly kind: "refused"; readonly error: GatehouseError }
  /** Whoever asks does not speak gRPC, and gets HTTP's. */
  | { readonly kind: "not-grpc"; readonly httpStatus: 405 | 415 };

const CONTENT_TYPE = /^application\/grpc(\+proto)?(;|$)/;
const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
/** A method's name and a trace take one byte of length in an `Open`. */
const TEXT_BYTES_MAX = 127;
const PRINTABLE = /^[\x20-\x7e]*$/;

/** Never throws. */
export function readHead(headers: IncomingHttpHeaders): RequestHead {
  if (headers[":method"] !== "POST") return { kind: "not-grpc", httpStatus: 405 };
  if (!CONTENT_TYPE.test(textOf(headers, "content-type"))) return { kind: "not-grpc", httpStatus: 415 };
  try {
    return { kind: "call", open: openOf(headers) };
  } catch (failure) {
    if (failure instanceof GatehouseError) return { kind: "refused", error: failure };
    throw failure;
  }
}

function openOf(headers: IncomingHttpHeaders): Open {
  const encoding = textOf(headers, "grpc-encoding");
  if (encoding !== "" && encoding !== "identity") {
    throw new GatehouseError("rpc.unsupported-encoding", "messages are not taken compressed", {
      hint: "call without compression",
    });
  }
  return {
    method: methodOf(textOf(headers, ":path")),
    timeoutMs: timeoutOf(textOf(headers, "grpc-timeout")),
    requestId: requestIdOf(textOf(headers, REQUEST_ID_KEY)),
    traceparent: traceOf(textOf(headers, "traceparent")),
  };
}

function methodOf(path: string): string {
  if (path.length <= TEXT_BYTES_MAX && PRINTABLE.test(path)) return path;
  throw new GatehouseError("rpc.bad-frame", "a method's name is too long");
}

/** In ms, rounded up; 0 for none. A time that is up already is the shortest there is: the call ends by its deadline. */
function timeoutOf(text: string): number {
  if (text === "") return 0;
  const [, digits = "", unit = ""] = TIMEOUT.exec(text) ?? [];
  const unitMs = UNIT_MS[unit];
  if (unitMs === undefined) throw new GatehouseError("rpc.bad-frame", "the call's timeout is not one");
  return Math.min(Math.max(1, Math.ceil(Number(digits) * unitMs)), LIMITS.callTimeoutMaxMs);
}

function requestIdOf(text: string): Uint8Array | undefined {
  if (text === "") return undefined;
  const bytes = new Uint8Array(Buffer.from(text, "base64"));
  const isCanonical = Buffer.from(bytes).toString("base64").replace(/=+$/, "") === text.replace(/=+$/, "");
  if (isCanonical && bytes.length === REQUEST_ID_BYTES) return bytes;
  throw new GatehouseError("rpc.bad-frame", `a request id has ${REQUEST_ID_BYTES} bytes or none`);
}

/** W3C Trace Context §3.2: what does not read is left out. */
function traceOf(text: string): string {
  return text.length <= TEXT_BYTES_MAX && PRINTABLE.test(text) ? text : "";
}

function textOf(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name];
  return typeof value === "string" ? value : "";
}
