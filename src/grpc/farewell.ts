/**
 * What a connection is ended with. The GOAWAY's debug data (RFC 9113 §6.8) is `CODE SP SENTENCE` in UTF-8, such as
 * `device.revoked this device was revoked`.
 *
 * Who passed TLS and is not let in gets that frame alone, and nothing of theirs is read:
 *
 * | bytes | what |
 * | --- | --- |
 * | 9 | GOAWAY's head: length (3, big-endian), `07 00`, stream 0 (4) |
 * | 4 | last stream: 0 |
 * | 4 | INADEQUATE_SECURITY: `00 00 00 0c` |
 * | n | debug data |
 *
 * There is no SETTINGS before it, though RFC 9113 §3.4 wants one: it would make a connection that stood for a moment, and
 * gRPC's C library opens another one at once when such a one goes, again and again until the call's deadline. So it takes
 * the attempt for failed, says UNAVAILABLE, and waits longer each time.
 */
import { constants } from "node:http2";
import { type ErrorCode, type GatehouseError, isErrorCode } from "../core/index.ts";

export const SENTENCE_BYTES_MAX = 256;
const GOAWAY = 7;
const HEAD_BYTES = 9;
const FIXED_BYTES = 8;

type Reason = Pick<GatehouseError, "code" | "message">;

export function farewell({ code, message }: Reason): Buffer {
  return Buffer.from(`${code} ${message}`).subarray(0, SENTENCE_BYTES_MAX);
}

export function refusal(error: Reason): Buffer {
  const words = farewell(error);
  const frame = Buffer.alloc(HEAD_BYTES + FIXED_BYTES);
  frame.writeUIntBE(FIXED_BYTES + words.length, 0, 3);
  frame[3] = GOAWAY;
  frame.writeUInt32BE(constants.NGHTTP2_INADEQUATE_SECURITY, HEAD_BYTES + 4);
  return Buffer.concat([frame, words]);
}

/** What a GOAWAY's debug data says; undefined when that is nothing of ours. No control characters: it ends in a terminal. */
export function readFarewell(
  debugData: Uint8Array,
): { readonly code: ErrorCode; readonly sentence: string } | undefined {
  const text = Buffer.from(debugData.subarray(0, SENTENCE_BYTES_MAX))
    .toString()
    .replace(/[^\x20-\x7e]/g, "");
  const [code = "", ...words] = text.split(" ");
  return isErrorCode(code) ? { code, sentence: words.join(" ") } : undefined;
}
