/**
 * One secret in a file, for when its gatehouse cannot be reached. Sealed under a key that comes from the identity, bound to
 * the gatehouse and the path that it is asked for by.
 *
 * | bytes | what                                                                         |
 * | ----- | ---------------------------------------------------------------------------- |
 * | 4     | `GHC`, version 1                                                             |
 * | 8     | when it is no good any more, Unix ms: anybody may remove it then             |
 * | n     | sealed by `sealOnce`, bound to the bytes before it, the gatehouse and path   |
 *
 * Sealed; times are Unix ms:
 *
 * | bytes | what                                                                         |
 * | ----- | ---------------------------------------------------------------------------- |
 * | 8     | when the gatehouse gave it                                                   |
 * | 8     | milliseconds after which it is no good any more                              |
 * | 8     | when the secret itself expires; 0: never                                     |
 * | 8     | version                                                                      |
 * | 4 + n | content type                                                                 |
 * | 4 + n | value, at most `LIMITS.secretValueBytes`                                      |
 */
import type { KeyObject } from "node:crypto";
import {
  ByteReader,
  ByteWriter,
  concat,
  equalBytes,
  fromUtf8,
  hex,
  LIMITS,
  type Random,
  type UnixMs,
  unixMs,
  unmovedCopyOf,
  utf8,
} from "../../core/index.ts";
import { hmacSha256, LABELS, openOnce, SEALED_OVERHEAD_BYTES, sealOnce } from "../../crypto/index.ts";
import type { DeviceId } from "../../identity/index.ts";

const MAGIC = concat(utf8("GHC"), Uint8Array.of(1));
const HEADER_BYTES = MAGIC.length + 8;
const NAME_BYTES = 16;
export const CACHED_SECRET_OVERHEAD_BYTES =
  HEADER_BYTES + SEALED_OVERHEAD_BYTES + 4 * 8 + 2 * 4 + LIMITS.secretContentTypeBytes;

/** Where a copy belongs. */
export interface CachedPlace {
  readonly gatehouseId: DeviceId;
  readonly path: string;
}

export interface CachedCopy {
  readonly givenAt: UnixMs;
  /** From `givenAt` on; milliseconds. */
  readonly maxStaleMs: number;
  readonly expiresAt: UnixMs | undefined;
  readonly version: number;
  readonly contentType: string;
  readonly value: Uint8Array;
}

/** Of the file of a copy: it tells whose secret it is, and not which. */
export function nameOf({ gatehouseId, path }: CachedPlace, nameKey: KeyObject): string {
  return `${gatehouseId}-${hex(hmacSha256(nameKey, utf8(path)).subarray(0, NAME_BYTES))}`;
}

/** When a copy is no good any more. */
export function endOf({ givenAt, maxStaleMs, expiresAt }: Omit<CachedCopy, "value">): UnixMs {
  return unixMs(Math.min(givenAt + maxStaleMs, expiresAt ?? Number.MAX_SAFE_INTEGER));
}

/** What a file says of its end, be it sealed by us or not; undefined when it says nothing. */
export function endIn(bytes: Uint8Array): UnixMs | undefined {
  if (bytes.length < HEADER_BYTES || !equalBytes(bytes.subarray(0, MAGIC.length), MAGIC)) return undefined;
  try {
    return unixMs(new ByteReader(bytes.subarray(MAGIC.length, HEADER_BYTES)).u64());
  } catch {
    return undefined;
  }
}

/** Borrows the value. */
export function encodeCopy(
  copy: CachedCopy,
  place: CachedPlace,
  { key, random }: { readonly key: KeyObject; readonly random: Random },
): Uint8Array {
  const { givenAt, maxStaleMs, expiresAt, version, contentType, value } = copy;
  const header = new ByteWriter().raw(MAGIC).u64(endOf(copy)).finish();
  const writer = new ByteWriter()
    .u64(givenAt)
    .u64(maxStaleMs)
    .u64(expiresAt ?? 0)
    .u64(version);
  const plaintext = writer.prefixed(utf8(contentType)).prefixed(value).finish();
  const sealed = sealOnce({ ...contextOf(place, key), header, plaintext, random });
  plaintext.fill(0);
  return concat(header, sealed);
}

/** Undefined unless it is a whole copy for that place, sealed by this identity. The value is the caller's to wipe. */
export function decodeCopy(bytes: Uint8Array, place: CachedPlace, key: KeyObject): CachedCopy | undefined {
  if (endIn(bytes) === undefined) return undefined;
  const header = bytes.subarray(0, HEADER_BYTES);
  const plaintext = openOnce({ ...contextOf(place, key), header, sealed: bytes.subarray(HEADER_BYTES) });
  if (plaintext === undefined) return undefined;
  const reader = new ByteReader(plaintext);
  const [givenAt, maxStaleMs, expiresAt, version] = [reader.u64(), reader.u64(), reader.u64(), reader.u64()];
  const contentType = fromUtf8(reader.prefixed(LIMITS.secretContentTypeBytes));
  const value = unmovedCopyOf(reader.prefixed(LIMITS.secretValueBytes));
  reader.end();
  plaintext.fill(0);
  return {
    ...{ givenAt: unixMs(givenAt), maxStaleMs, version, contentType, value },
    expiresAt: expiresAt === 0 ? undefined : unixMs(expiresAt),
  };
}

function contextOf({ gatehouseId, path }: CachedPlace, key: KeyObject) {
  const associatedData = new ByteWriter().prefixed(utf8(gatehouseId)).prefixed(utf8(path)).finish();
  return { key, label: LABELS.cachedSecret, associatedData };
}
