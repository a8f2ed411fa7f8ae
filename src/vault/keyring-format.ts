import { createSecretKey, type KeyObject } from "node:crypto";
import { ByteReader, ByteWriter, type Random } from "../core/index.ts";
import type { Kek } from "./envelope.ts";
import { type HeaderFormat, KEYRING_BYTES_MAX } from "./header-format.ts";

/**
 * What a slot seals:
 *
 * | bytes | formats 1 and 3 | | bytes | format 2 |
 * | --- | --- | --- | --- | --- |
 * | 2 | number of terms, at least 1 | | 2 | number of terms |
 * | … | u32 KEK term · 32 KEK | | … | the same |
 * | 32 | storage root | | 32 | storage root |
 * | | | | 1 | number of slots |
 * | | | | … | u8 slot number · 32 slot key |
 *
 * Format 2 had the key of every slot in it, so that a change could be sealed for all of them: whoever had opened it once
 * could open all that came later. In format 3 a slot's public half is enough for that.
 */

const KEY_BYTES = 32;
/** Far more than one rotation has; a keyring must fit its slot. */
export const TERMS_MAX = 64;

export interface KeyringContents {
  readonly keks: readonly Kek[];
  readonly root: KeyObject;
}

/** By slot number; of a keyring of format 2. */
export type SlotKeys = ReadonlyMap<number, KeyObject>;

export function freshKek(term: number, random: Random): Kek {
  const bytes = random.bytes(KEY_BYTES);
  try {
    return { term, key: createSecretKey(bytes) };
  } finally {
    bytes.fill(0);
  }
}

/** The caller's to wipe. */
export function encodeKeyring({ keks, root }: KeyringContents): Uint8Array {
  if (keks.length > TERMS_MAX) throw new RangeError(`keyring: ${keks.length} terms`);
  const exported: Buffer[] = [];
  const raw = (key: KeyObject): Buffer => {
    const bytes = key.export();
    exported.push(bytes);
    return bytes;
  };
  const writer = new ByteWriter().u16(keks.length);
  for (const { term, key } of keks) writer.u32(term).raw(raw(key));
  writer.raw(raw(root));
  try {
    const plaintext = writer.finish();
    if (plaintext.length > KEYRING_BYTES_MAX) throw new RangeError(`keyring: ${plaintext.length} bytes`);
    return plaintext;
  } finally {
    for (const bytes of exported) bytes.fill(0);
  }
}

/** `plaintext` was made by us: it verified. Copies what it answers. */
export function decodeKeyring(
  format: HeaderFormat,
  plaintext: Uint8Array,
): { readonly contents: KeyringContents; readonly slotKeys: SlotKeys } {
  const reader = new ByteReader(plaintext);
  const keks = Array.from({ length: reader.u16() }, () => ({
    term: reader.u32(),
    key: createSecretKey(reader.raw(KEY_BYTES)),
  }));
  const root = createSecretKey(reader.raw(KEY_BYTES));
  const slotKeys = new Map<number, KeyObject>();
  const slots = format === 2 ? reader.u8() : 0;
  for (let index = 0; index < slots; index += 1) {
    slotKeys.set(reader.u8(), createSecretKey(reader.raw(KEY_BYTES)));
  }
  reader.end();
  return { contents: { keks, root }, slotKeys };
}
