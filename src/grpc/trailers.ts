/**
 * How a call's end is told (grpc/doc/PROTOCOL-HTTP2.md, "Responses").
 *
 * | key | what |
 * | --- | --- |
 * | `grpc-status` | gRPC's number of the code's status; which one is each code's row of `core/error-codes.ts` |
 * | `grpc-message` | the sentence, percent-encoded |
 * | `gatehouse-code` | the code, such as `vault.not-found`; absent for success |
 * | `gatehouse-hint` | what to do next, percent-encoded like the sentence; absent when there is none |
 * | `gatehouse-retry-after-ms` | how long to wait, decimal; absent when unknown |
 */
import { LIMITS } from "../core/index.ts";
import type { Close } from "../rpc/index.ts";

export const CODE_KEY = "gatehouse-code";
export const HINT_KEY = "gatehouse-hint";
export const RETRY_AFTER_KEY = "gatehouse-retry-after-ms";

export function trailersOf({ status, code, message, hint, retryAfterMs }: Close): Record<string, string> {
  return {
    "grpc-status": String(status),
    ...(message === "" ? {} : { "grpc-message": percentEncoded(message) }),
    ...(code === "" ? {} : { [CODE_KEY]: code }),
    ...(hint === "" ? {} : { [HINT_KEY]: percentEncoded(hint) }),
    ...(retryAfterMs === 0 ? {} : { [RETRY_AFTER_KEY]: String(retryAfterMs) }),
  };
}

/** UTF-8 with all but printable ASCII, and `%` itself, as `%XX`; cut where a trailer ends. */
function percentEncoded(text: string): string {
  let encoded = "";
  for (const character of text) {
    const part = /^[\x20-\x24\x26-\x7e]$/.test(character) ? character : escaped(character);
    if (encoded.length + part.length > LIMITS.grpcTrailerBytes) break;
    encoded += part;
  }
  return encoded;
}

function escaped(character: string): string {
  return Array.from(
    Buffer.from(character),
    (byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`,
  ).join("");
}
