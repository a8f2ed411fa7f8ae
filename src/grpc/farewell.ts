/**
 * What a connection is ended with. The GOAWAY's debug data (RFC 9113 §6.8) is `CODE SP SENTENCE` in UTF-8, such as
 * `device.revoked this device was revoked`.
 *
 * Who passed TLS and is not let in gets these bytes, and nothing of theirs is read:
 *
 * | bytes | what |
 * | --- | --- |
 * | 9 | SETTINGS, empty: `00 00 00 04 00 00 00 00 00` |
 * | 9 | GOAWAY's head: length (3, big-endian), `07 00`, stream 0 (4) |
 * | 4 | last stream: 0 |
 * | 4 | error code: `GOODBYES` |
 * | n | debug data |
 */
import { constants } from "node:http2";
import { type GatehouseError, STATUS } from "../core/index.ts";

const SENTENCE_BYTES_MAX = 256;
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const GOAWAY = 7;
const HEAD_BYTES = 9;
const FIXED_BYTES = 8;

/** By status; clients make PERMISSION_DENIED, RESOURCE_EXHAUSTED and, of NO_ERROR, UNAVAILABLE of it, and retry the last. */
const GOODBYES: ReadonlyMap<number, number> = new Map([
  [STATUS.unauthenticated, constants.NGHTTP2_INADEQUATE_SECURITY],
  [STATUS["resource-exhausted"], constants.NGHTTP2_ENHANCE_YOUR_CALM],
]);

export function farewell({ code, message }: Pick<GatehouseError, "code" | "message">): Buffer {
  return Buffer.from(`${code} ${message}`).subarray(0, SENTENCE_BYTES_MAX);
}

export function refusal(error: Pick<GatehouseError, "code" | "message" | "status">): Buffer {
  const words = farewell(error);
  const frame = Buffer.alloc(HEAD_BYTES + FIXED_BYTES);
  frame.writeUIntBE(FIXED_BYTES + words.length, 0, 3);
  frame[3] = GOAWAY;
  frame.writeUInt32BE(GOODBYES.get(error.status) ?? constants.NGHTTP2_NO_ERROR, HEAD_BYTES + 4);
  return Buffer.concat([EMPTY_SETTINGS, frame, words]);
}
