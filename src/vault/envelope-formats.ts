import { ByteReader, ByteWriter, equalBytes, utf8 } from "../core/index.ts";
import { SEALED_OVERHEAD_BYTES } from "../crypto/index.ts";
import { unknownFormat } from "./unknown-format.ts";

/**
 * How the two halves of an envelope are laid out, by the format byte that each begins with after its magic. Writers write
 * the newest; a reader of every format that was released stays. `vault rotate --deks` seals every value anew and so leaves
 * the newest format only, `--kek` does it for the wrapped keys, and a new version is in the newest from the start.
 *
 * | bytes | wrapped key, format 1 | | bytes | value, format 1 |
 * | --- | --- | --- | --- | --- |
 * | 3 | `GHK` | | 3 | `GHV` |
 * | 1 | format 1 | | 1 | format 1 |
 * | 1 | suite 1: HKDF-SHA-256, ChaCha20-Poly1305 | | 1 | suite 1 |
 * | 4 | KEK term | | 16 | DEK id |
 * | 16 | DEK id | | 32 | salt |
 * | 32 | salt | | 32 | commitment |
 * | 32 | commitment | | n | ciphertext |
 * | 32 | ciphertext | | 16 | tag |
 * | 16 | tag | | | |
 */

export const DEK_BYTES = 32;
export const DEK_ID_BYTES = 16;

const KEY_MAGIC = utf8("GHK");
const VALUE_MAGIC = utf8("GHV");
const MAGIC_BYTES = 3;
const FORMAT = 1;
const SUITE = 1;
const WRAPPED_HEADER_BYTES = MAGIC_BYTES + 2 + 4 + DEK_ID_BYTES;
const VALUE_HEADER_BYTES = MAGIC_BYTES + 2 + DEK_ID_BYTES;

/** Views of what was read. */
export interface SealedParts {
  /** What the sealed bytes are bound to. */
  readonly header: Uint8Array;
  readonly sealed: Uint8Array;
}

export interface WrappedParts extends SealedParts {
  /** Of the KEK. */
  readonly term: number;
  readonly dekId: Uint8Array;
}

/** Of one format. Either answers `undefined` for what is not of its shape. */
export interface EnvelopeReader {
  readonly wrapped: (bytes: Uint8Array) => WrappedParts | undefined;
  readonly value: (bytes: Uint8Array) => SealedParts | undefined;
}

/** By format. */
export const ENVELOPE_READERS: ReadonlyMap<number, EnvelopeReader> = new Map([
  [FORMAT, { wrapped: wrappedOfOne, value: valueOfOne }],
]);

/** `undefined` when it is no wrapped key. @throws GatehouseError `vault.unknown-format` */
export function parseWrapped(bytes: Uint8Array): WrappedParts | undefined {
  return readerOf(KEY_MAGIC, bytes)?.wrapped(bytes);
}

/** `undefined` when it is no sealed value. @throws GatehouseError `vault.unknown-format` */
export function parseValue(bytes: Uint8Array): SealedParts | undefined {
  return readerOf(VALUE_MAGIC, bytes)?.value(bytes);
}

export function wrappedHeader(term: number, dekId: Uint8Array): Uint8Array {
  return new ByteWriter().raw(KEY_MAGIC).u8(FORMAT).u8(SUITE).u32(term).raw(dekId).finish();
}

export function valueHeader(dekId: Uint8Array): Uint8Array {
  return new ByteWriter().raw(VALUE_MAGIC).u8(FORMAT).u8(SUITE).raw(dekId).finish();
}

function wrappedOfOne(bytes: Uint8Array): WrappedParts | undefined {
  checkSuite(bytes);
  if (bytes.length !== WRAPPED_HEADER_BYTES + SEALED_OVERHEAD_BYTES + DEK_BYTES) return undefined;
  const header = bytes.subarray(0, WRAPPED_HEADER_BYTES);
  return {
    term: new ByteReader(header.subarray(MAGIC_BYTES + 2)).u32(),
    dekId: header.subarray(WRAPPED_HEADER_BYTES - DEK_ID_BYTES),
    ...{ header, sealed: bytes.subarray(WRAPPED_HEADER_BYTES) },
  };
}

function valueOfOne(bytes: Uint8Array): SealedParts | undefined {
  checkSuite(bytes);
  if (bytes.length < VALUE_HEADER_BYTES + SEALED_OVERHEAD_BYTES) return undefined;
  return { header: bytes.subarray(0, VALUE_HEADER_BYTES), sealed: bytes.subarray(VALUE_HEADER_BYTES) };
}

function checkSuite(bytes: Uint8Array): void {
  const suite = bytes[MAGIC_BYTES + 1];
  if (suite !== SUITE) throw unknownFormat(`suite ${String(suite)} of a secret's record`);
}

function readerOf(magic: Uint8Array, bytes: Uint8Array): EnvelopeReader | undefined {
  const format = bytes[MAGIC_BYTES];
  if (format === undefined || !equalBytes(bytes.subarray(0, MAGIC_BYTES), magic)) return undefined;
  const reader = ENVELOPE_READERS.get(format);
  if (reader === undefined) throw unknownFormat(`format ${format} of a secret's record`);
  return reader;
}
