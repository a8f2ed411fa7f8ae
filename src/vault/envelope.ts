import { createSecretKey, type KeyObject } from "node:crypto";
import { ByteReader, ByteWriter, concat, fromHex, type Random, utf8 } from "../core/index.ts";
import { LABELS, openerOf, openOnce, SEALED_OVERHEAD_BYTES, sealOnce, sha256 } from "../crypto/index.ts";

/**
 * A secret's value under its own data key (DEK), and that key under the vault's key-encryption key (KEK).
 *
 * | bytes | wrapped key | | bytes | value |
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
 *
 * Bound beside the header: vault id, path, version, created, content type, hash of the version before, each
 * length-prefixed or of fixed size; so a sealed value means something in its one place only.
 */

const FORMAT = 1;
const SUITE = 1;
const KEY_MAGIC = utf8("GHK");
const VALUE_MAGIC = utf8("GHV");
const MAGIC_BYTES = 3;
const DEK_BYTES = 32;
const DEK_ID_BYTES = 16;
const WRAPPED_HEADER_BYTES = MAGIC_BYTES + 2 + 4 + DEK_ID_BYTES;
const VALUE_HEADER_BYTES = MAGIC_BYTES + 2 + DEK_ID_BYTES;

/** What a sealed value is longer than its plaintext. */
export const VALUE_OVERHEAD_BYTES = VALUE_HEADER_BYTES + SEALED_OVERHEAD_BYTES;

/** Where a sealed value belongs. */
export interface Place {
  readonly vaultId: string;
  readonly path: string;
  readonly version: number;
  readonly createdAt: number;
  readonly contentType: string;
  /** Empty for the first version. */
  readonly previousHash: Uint8Array;
}

export interface Kek {
  readonly term: number;
  readonly key: KeyObject;
}

export interface Envelope {
  readonly wrappedKey: Uint8Array;
  readonly sealedValue: Uint8Array;
}

/** The bytes both halves of an envelope are bound to. */
export function bindingOf(place: Place): Uint8Array {
  return new ByteWriter()
    .prefixed(fromHex(place.vaultId))
    .prefixed(utf8(place.path))
    .u64(place.version)
    .u64(place.createdAt)
    .prefixed(utf8(place.contentType))
    .prefixed(place.previousHash)
    .finish();
}

/** Seals `value` under a fresh DEK, and that under `kek`. Borrows `value`. */
export function sealEnvelope(input: {
  /** From `bindingOf`. */
  readonly binding: Uint8Array;
  readonly value: Uint8Array;
  readonly kek: Kek;
  readonly random: Random;
}): Envelope {
  const { kek, random } = input;
  const associatedData = input.binding;
  const dek = random.bytes(DEK_BYTES);
  const dekId = random.bytes(DEK_ID_BYTES);
  try {
    const keyHeader = header(KEY_MAGIC).u32(kek.term).raw(dekId).finish();
    const valueHeader = header(VALUE_MAGIC).raw(dekId).finish();
    const wrapped = sealOnce({
      ...{ key: kek.key, label: LABELS.vaultWrappedKey, header: keyHeader },
      ...{ associatedData, plaintext: dek, random },
    });
    const sealed = sealOnce({
      ...{ key: dek, label: LABELS.vaultValue, header: valueHeader },
      ...{ associatedData, plaintext: input.value, random },
    });
    return { wrappedKey: concat(keyHeader, wrapped), sealedValue: concat(valueHeader, sealed) };
  } finally {
    dek.fill(0);
  }
}

/** The KEK term under which `wrappedKey` is sealed; `undefined` when it is not a wrapped key. */
export function termOf(wrappedKey: Uint8Array): number | undefined {
  return parseWrapped(wrappedKey)?.term;
}

/** The DEK, or `undefined` when anything differs from what was sealed. */
export function unwrapKey(kek: Kek, binding: Uint8Array, wrappedKey: Uint8Array): KeyObject | undefined {
  const parsed = parseWrapped(wrappedKey);
  if (parsed === undefined || parsed.term !== kek.term) return undefined;
  const dek = openOnce({
    ...{ key: kek.key, label: LABELS.vaultWrappedKey, header: parsed.header },
    ...{ associatedData: binding, sealed: parsed.sealed },
  });
  if (dek === undefined) return undefined;
  try {
    return createSecretKey(dek);
  } finally {
    dek.fill(0);
  }
}

/** The same DEK under another KEK: the value stays as it is. `undefined` when `from` and `binding` do not open it. */
export function rewrapKey(input: {
  readonly wrappedKey: Uint8Array;
  readonly from: Kek;
  readonly to: Kek;
  readonly binding: Uint8Array;
  readonly random: Random;
}): Uint8Array | undefined {
  const { wrappedKey, from, to, binding, random } = input;
  const parsed = parseWrapped(wrappedKey);
  const dek = unwrapKey(from, binding, wrappedKey);
  if (parsed === undefined || dek === undefined) return undefined;
  const dekId = parsed.header.subarray(parsed.header.length - DEK_ID_BYTES);
  const keyHeader = header(KEY_MAGIC).u32(to.term).raw(dekId).finish();
  const plaintext = dek.export();
  try {
    const sealed = sealOnce({
      ...{ key: to.key, label: LABELS.vaultWrappedKey, header: keyHeader },
      ...{ associatedData: binding, plaintext, random },
    });
    return concat(keyHeader, sealed);
  } finally {
    plaintext.fill(0);
  }
}

/** What opens the value, each time into bytes of the caller's own; either is `undefined` when anything differs from what was sealed. */
export function valueOpener(
  dek: KeyObject,
  binding: Uint8Array,
  sealedValue: Uint8Array,
): (() => Uint8Array | undefined) | undefined {
  if (sealedValue.length < VALUE_OVERHEAD_BYTES || !startsRight(sealedValue, VALUE_MAGIC)) return undefined;
  return openerOf({
    key: dek,
    label: LABELS.vaultValue,
    header: sealedValue.subarray(0, VALUE_HEADER_BYTES),
    associatedData: binding,
    sealed: sealedValue.subarray(VALUE_HEADER_BYTES),
  });
}

/** What the next version of the path is bound to. */
export function hashOf(sealedValue: Uint8Array): Uint8Array {
  return sha256(sealedValue);
}

function parseWrapped(
  bytes: Uint8Array,
): { term: number; header: Uint8Array; sealed: Uint8Array } | undefined {
  if (bytes.length !== WRAPPED_HEADER_BYTES + SEALED_OVERHEAD_BYTES + DEK_BYTES) return undefined;
  if (!startsRight(bytes, KEY_MAGIC)) return undefined;
  return {
    term: new ByteReader(bytes.subarray(MAGIC_BYTES + 2)).u32(),
    header: bytes.subarray(0, WRAPPED_HEADER_BYTES),
    sealed: bytes.subarray(WRAPPED_HEADER_BYTES),
  };
}

function startsRight(bytes: Uint8Array, magic: Uint8Array): boolean {
  return magic.every((byte, index) => bytes[index] === byte) && bytes[3] === FORMAT && bytes[4] === SUITE;
}

function header(magic: Uint8Array): ByteWriter {
  return new ByteWriter().raw(magic).u8(FORMAT).u8(SUITE);
}
