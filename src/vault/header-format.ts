import { basename } from "node:path";
import {
  ByteReader,
  ByteWriter,
  copyOf,
  equalBytes,
  fromUtf8,
  hex,
  MalformedBytes,
  utf8,
} from "../core/index.ts";
import { SEALED_OVERHEAD_BYTES, sha256 } from "../crypto/index.ts";
import { damaged } from "./damage.ts";
import { unknownFormat } from "./unknown-format.ts";

/**
 * The vault's header file: who it is, and its keyring once for every key that can open it.
 *
 * | bytes | field |
 * | --- | --- |
 * | 3 | `GHH` |
 * | 1 | format 3 |
 * | 16 | vault id |
 * | 8 | created, Unix ms |
 * | 1 | number of slots, 1 to 8 |
 * | … | slots |
 * | 32 | HMAC-SHA-256 of all before, under a key of the storage root |
 * | 32 | SHA-256 of all before |
 *
 * | bytes | slot |
 * | --- | --- |
 * | 1 | number from 1, no two the same |
 * | 8 | created, Unix ms |
 * | 1 + n | u8 length, kind |
 * | 4 + n | u32 length, parameters |
 * | 32 | X25519 public key of the slot's key: what the keyring is sealed to |
 * | 32 | proof by the slot's key that this vault's storage root is the one it was made for |
 * | 4 + n | u32 length, sealed keyring: ephemeral X25519 public key (32) ‖ salt ‖ commitment ‖ ciphertext ‖ tag |
 *
 * Format 2 had neither public key, proof nor ephemeral key, format 1 a single slot without number and time: both are read.
 *
 * The plain hash tells a damaged file from a wrong key; the HMAC keeps slots from being added, dropped or swapped by
 * somebody without the keys. Anybody can seal to a public key: the proof keeps a keyring out that was made for the slot by
 * somebody who does not know the root. Nothing in a slot is acted on before a key has opened it, so it holds no paths and no
 * commands: whoever can write the file could otherwise choose what we run.
 */

const MAGIC = utf8("GHH");
const ID_BYTES = 16;
const HEAD_BYTES = 3 + 1 + ID_BYTES + 8;
const HASH_BYTES = 32;
const PUBLIC_BYTES = 32;
const PROOF_BYTES = 32;
const PARAMETERS_MAX = 1_024;
const KEYRING_MAX = 4_096;

export type HeaderFormat = 1 | 2 | 3;
export const HEADER_FORMAT = 3;
export const SLOTS_MAX = 8;
/** What the plaintext of a sealed keyring may have. */
export const KEYRING_BYTES_MAX = KEYRING_MAX - SEALED_OVERHEAD_BYTES - PUBLIC_BYTES;

export interface HeaderSlot {
  /** For as long as the slot is there. */
  readonly number: number;
  /** Unix ms. */
  readonly createdAt: number;
  /** Of the key provider. */
  readonly kind: string;
  readonly parameters: Uint8Array;
  /** 32 bytes each; empty in formats 1 and 2. */
  readonly publicKey: Uint8Array;
  readonly proof: Uint8Array;
  readonly sealed: Uint8Array;
}

export interface HeaderBody {
  readonly format: HeaderFormat;
  /** 32 lower-case hex digits. */
  readonly vaultId: string;
  /** Unix ms. */
  readonly createdAt: number;
  readonly slots: readonly HeaderSlot[];
}

export interface Header extends HeaderBody {
  /** Of the file, before `mac`. */
  readonly body: Uint8Array;
  readonly mac: Uint8Array;
}

/** The bytes before the slots: what a sealed keyring is bound to. */
export function headOf({ format, vaultId, createdAt }: Omit<HeaderBody, "slots">): Uint8Array {
  const id = Uint8Array.from(Buffer.from(vaultId, "hex"));
  return new ByteWriter().raw(MAGIC).u8(format).raw(id).u64(createdAt).finish();
}

/** What a sealed keyring is bound to beside the head. */
export function slotBinding(
  format: HeaderFormat,
  { number, createdAt, kind, parameters, publicKey, proof }: Omit<HeaderSlot, "sealed">,
): Uint8Array {
  const writer = format === 1 ? new ByteWriter() : new ByteWriter().u8(number).u64(createdAt);
  return writer.prefixed(utf8(kind)).prefixed(parameters).raw(publicKey).raw(proof).finish();
}

/** Newest format. `macOf` gets the bytes before the MAC. @throws RangeError for slots that fit no file. */
export function encodeHeader(
  header: Omit<HeaderBody, "format">,
  macOf: (body: Uint8Array) => Uint8Array,
): Uint8Array {
  const { slots } = header;
  if (slots.length < 1 || slots.length > SLOTS_MAX) throw new RangeError(`header: ${slots.length} slots`);
  const writer = new ByteWriter().raw(headOf({ ...header, format: HEADER_FORMAT })).u8(slots.length);
  for (const { number, createdAt, kind, parameters, publicKey, proof, sealed } of slots) {
    if (parameters.length > PARAMETERS_MAX)
      throw new RangeError(`kek: ${parameters.length} bytes of parameters`);
    if (sealed.length > KEYRING_MAX) throw new RangeError(`header: a keyring of ${sealed.length} bytes`);
    const name = utf8(kind);
    writer.u8(number).u64(createdAt).u8(name.length).raw(name).prefixed(parameters);
    writer.raw(publicKey).raw(proof).prefixed(sealed);
  }
  const body = writer.finish();
  const sealed = new ByteWriter().raw(body).raw(macOf(body)).finish();
  return new ByteWriter().raw(sealed).raw(sha256(sealed)).finish();
}

/** Copies what it answers. @throws GatehouseError `vault.damaged`, `vault.unknown-format`. The MAC is the caller's to check. */
export function parseHeader(path: string, file: Uint8Array): Header {
  const bodyLength = file.length - 2 * HASH_BYTES;
  if (bodyLength < HEAD_BYTES + 1) throw damaged(path, file.length, "it ends early");
  const sealed = file.subarray(0, bodyLength + HASH_BYTES);
  if (!equalBytes(sha256(sealed), file.subarray(sealed.length)))
    throw damaged(path, 0, "its hash does not match");
  if (!equalBytes(file.subarray(0, 3), MAGIC)) throw damaged(path, 0, "it is not a vault's header");
  const format = file[3];
  if (format !== 1 && format !== 2 && format !== 3)
    throw unknownFormat(`format ${String(format)} of ${basename(path)}`);
  const body = copyOf(file.subarray(0, bodyLength));
  const reader = new ByteReader(body.subarray(4));
  const [vaultId, createdAt] = [hex(reader.raw(ID_BYTES)), readCreated(path, reader)];
  const slots = readSlots(path, reader, { format, createdAt });
  return { format, vaultId, createdAt, slots, body, mac: copyOf(sealed.subarray(bodyLength)) };
}

function readCreated(path: string, reader: ByteReader): number {
  try {
    return reader.u64();
  } catch {
    throw damaged(path, 4 + ID_BYTES, "its time is no time");
  }
}

function readSlots(
  path: string,
  reader: ByteReader,
  { format, createdAt }: { readonly format: HeaderFormat; readonly createdAt: number },
): readonly HeaderSlot[] {
  try {
    const count = reader.u8();
    if (count < 1 || count > (format === 1 ? 1 : SLOTS_MAX)) throw new MalformedBytes(`${count} slots`);
    const slots = Array.from({ length: count }, () => ({
      number: format === 1 ? 1 : reader.u8(),
      createdAt: format === 1 ? createdAt : reader.u64(),
      kind: fromUtf8(reader.raw(reader.u8())),
      parameters: copyOf(reader.prefixed(PARAMETERS_MAX)),
      publicKey: copyOf(reader.raw(format === 3 ? PUBLIC_BYTES : 0)),
      proof: copyOf(reader.raw(format === 3 ? PROOF_BYTES : 0)),
      sealed: copyOf(reader.prefixed(KEYRING_MAX)),
    }));
    reader.end();
    const numbers = new Set(slots.map(({ number }) => number));
    if (numbers.size < count || numbers.has(0)) throw new MalformedBytes("slot numbers");
    return slots;
  } catch {
    throw damaged(path, 4 + reader.offset, "a key slot is malformed");
  }
}
