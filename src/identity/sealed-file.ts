import type { KeyObject } from "node:crypto";
import {
  ByteReader,
  ByteWriter,
  concat,
  copyOf,
  equalBytes,
  fromUtf8,
  MalformedBytes,
  type Random,
  utf8,
} from "../core/index.ts";
import { LABELS, openOnce, sealOnce, sha256 } from "../crypto/index.ts";
import { isKeyId } from "../keystore/index.ts";

/**
 * The identity file, format 2: format 1 sealed under a key that a key provider gives.
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 | `GHI` and the format, 2 |
 * | 1 + n | u8 length, the provider's kind: 1 to 64 of a–z, 0–9 and `-` |
 * | 1 + n | u8 length, the key's id for the provider: the same characters |
 * | 4 + n | u32 length, the provider's parameters, at most 1 024 bytes |
 * | 4 + n | u32 length, a file of format 1 sealed by `sealOnce`, bound to everything before this field |
 * | 32 | SHA-256 of everything before: tells a damaged file from a wrong key |
 *
 * The key's id is 16 random bytes in hex, new with every sealing: one that was cut short leaves a key that nothing
 * uses, and never stands in the way of the next.
 */

const MAGIC = concat(utf8("GHI"), Uint8Array.of(2));
const PARAMETERS_MAX = 1_024;
const SEALED_MAX = 2_048;
const HASH_BYTES = 32;

/** More than any sealed identity file has. */
export const SEALED_FILE_BYTES_MAX = 4_096;

/** What an identity file is sealed under, all but the key in clear. */
export interface SealName {
  /** Of the provider. */
  readonly kind: string;
  readonly keyId: string;
  readonly parameters: Uint8Array;
}

export interface FileSeal extends SealName {
  readonly key: KeyObject;
}

export interface SealedFile extends SealName {
  /** The bytes before the sealed ones. */
  readonly header: Uint8Array;
  readonly sealed: Uint8Array;
}

export function isSealedFile(file: Uint8Array): boolean {
  return equalBytes(file.subarray(0, MAGIC.length), MAGIC);
}

/** @throws RangeError when the provider's kind, or its parameters, fit no file. */
export function sealFile(seal: FileSeal, plaintext: Uint8Array, random: Random): Uint8Array {
  const header = headerOf(seal);
  const sealed = sealOnce({ ...contextOf(seal.key, header), plaintext, random });
  const body = new ByteWriter().raw(header).prefixed(sealed).finish();
  return concat(body, sha256(body));
}

/** Copies what it answers. @throws MalformedBytes, RangeError, TypeError for what `sealFile` did not write. */
export function parseSealedFile(file: Uint8Array): SealedFile {
  const body = file.subarray(0, Math.max(0, file.length - HASH_BYTES));
  if (!equalBytes(sha256(body), file.subarray(body.length)))
    throw new MalformedBytes("its hash does not match");
  const reader = new ByteReader(body);
  if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) throw new RangeError("unknown format");
  const [kind, keyId] = [nameIn(reader), nameIn(reader)];
  const parameters = copyOf(reader.prefixed(PARAMETERS_MAX));
  const header = copyOf(body.subarray(0, reader.offset));
  const sealed = copyOf(reader.prefixed(SEALED_MAX));
  reader.end();
  return { kind, keyId, parameters, header, sealed };
}

/** The caller's to wipe; `undefined` when the file was sealed under another key. */
export function unsealFile({ header, sealed }: SealedFile, key: KeyObject): Uint8Array | undefined {
  return openOnce({ ...contextOf(key, header), sealed });
}

/** Whether both name the same key of the same provider. */
export function isSameSeal(a: SealName, b: SealName): boolean {
  return a.kind === b.kind && a.keyId === b.keyId && equalBytes(a.parameters, b.parameters);
}

function headerOf({ kind, keyId, parameters }: SealName): Uint8Array {
  if (!isKeyId(kind) || !isKeyId(keyId)) throw new RangeError("key provider: a kind or id that fits no file");
  if (parameters.length > PARAMETERS_MAX) {
    throw new RangeError(`key provider: ${parameters.length} bytes of parameters`);
  }
  const [kindBytes, idBytes] = [utf8(kind), utf8(keyId)];
  const writer = new ByteWriter().raw(MAGIC).u8(kindBytes.length).raw(kindBytes);
  return writer.u8(idBytes.length).raw(idBytes).prefixed(parameters).finish();
}

function nameIn(reader: ByteReader): string {
  const name = fromUtf8(reader.raw(reader.u8()));
  if (!isKeyId(name)) throw new RangeError("a name with other characters");
  return name;
}

function contextOf(key: KeyObject, header: Uint8Array) {
  return { key, label: LABELS.identitySealed, header, associatedData: new Uint8Array() };
}
