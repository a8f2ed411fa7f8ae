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
 * | 4 | INADEQUATE_SECURITY: `00 00 00 0c` |
 * | n | debug data |
 */
import { constants } from "node:http2";
import type { GatehouseError } from "../core/index.ts";

const SENTENCE_BYTES_MAX = 256;
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const GOAWAY = 7;
const HEAD_BYTES = 9;
const FIXED_BYTES = 8;

export function farewell({ code, message }: Pick<GatehouseError, "code" | "message">): Buffer {
  return Buffer.from(`${code} ${message}`).subarray(0, SENTENCE_BYTES_MAX);
}

export function refusal(error: Pick<GatehouseError, "code" | "message">): Buffer {
  const words = farewell(error);
  const frame = Buffer.alloc(HEAD_BYTES + FIXED_BYTES);
  frame.writeUIntBE(FIXED_BYTES + words.length, 0, 3);
  frame[3] = GOAWAY;
  frame.writeUInt32BE(constants.NGHTTP2_INADEQUATE_SECURITY, HEAD_BYTES + 4);
  return Buffer.concat([EMPTY_SETTINGS, frame, words]);
}
