/** What ends a gRPC call: HTTP/2 headers and trailers in, the router's `Close` out; `trailers.ts` has the keys. */
import type { IncomingHttpHeaders } from "node:http2";
import type { Close } from "../rpc/index.ts";
import { CODE_KEY, HINT_KEY, RETRY_AFTER_KEY } from "./trailers.ts";

const STATUS_MAX = 16;
const UNKNOWN = 2;
const UINT32_MAX = 0xffff_ffff;

/** Never throws: what does not read is an unknown failure, and never success. */
export function closeIn(trailers: IncomingHttpHeaders): Close {
  return {
    status: statusOf(textOf(trailers, "grpc-status")),
    code: textOf(trailers, CODE_KEY),
    message: decoded(textOf(trailers, "grpc-message")),
    hint: decoded(textOf(trailers, HINT_KEY)),
    retryAfterMs: Math.min(numberOf(textOf(trailers, RETRY_AFTER_KEY)) ?? 0, UINT32_MAX),
  };
}

/** Whether an answer's first headers are gRPC's; without that its trailers mean nothing. */
export function isGrpcAnswer(headers: IncomingHttpHeaders): boolean {
  return Number(headers[":status"]) === 200 && textOf(headers, "content-type").startsWith("application/grpc");
}

function statusOf(text: string): number {
  const status = numberOf(text) ?? UNKNOWN;
  return status <= STATUS_MAX ? status : UNKNOWN;
}

function numberOf(text: string): number | undefined {
  return /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}

/** Percent-encoded UTF-8; as it is where it is not. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function textOf(headers: IncomingHttpHeaders, name: string): string {
  const value = headers[name];
  return typeof value === "string" ? value : "";
}
