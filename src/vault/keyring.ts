import { createSecretKey, type KeyObject } from "node:crypto";
import {
  ByteReader,
  ByteWriter,
  equalBytes,
  fromHex,
  fromUtf8,
  GatehouseError,
  hex,
  MalformedBytes,
  type Random,
  utf8,
} from "../core/index.ts";
import {
  equalSecrets,
  hkdfSha256,
  hmacSha256,
  LABELS,
  type Label,
  openOnce,
  sealOnce,
  sha256,
} from "../crypto/index.ts";
import type { ProvidedKey } from "../keystore/index.ts";
import { damaged } from "./damage.ts";
import type { Kek } from "./envelope.ts";
import { type KekProvider, loadKek } from "./kek-provider.ts";

/**
 * The vault's header file: who it is, and its keyring once for every provider that can open it.
 *
 * | bytes | field |
 * | --- | --- |
 * | 3 | `GHH` |
 * | 1 | format 1 |
 * | 16 | vault id |
 * | 8 | created, Unix ms |
 * | 1 | number of slots, 1 to 8 |
 * | … | slots: u8 length, kind · u32 length, parameters · u32 length, sealed keyring |
 * | 32 | HMAC-SHA-256 of all before, under a key of the storage root |
 * | 32 | SHA-256 of all before |
 *
 * Keyring: u16 count · count × (u32 KEK term, 32 KEK) · 32 storage root; sealed under the provider's key, bound to
 * the bytes before the slots, the kind and the parameters. The plain hash tells a damaged file from a wrong key; the
 * HMAC keeps slots from being added, dropped or swapped by somebody without the keys.
 */

const MAGIC = utf8("GHH");
const FORMAT = 1;
const ID_BYTES = 16;
const HEAD_BYTES = 3 + 1 + ID_BYTES + 8;
const KEY_BYTES = 32;
const HASH_BYTES = 32;
const SLOTS_MAX = 8;
const PARAMETERS_MAX = 1_024;
const KEYRING_MAX = 4_096;

/** The keys of an open vault. */
export interface Keyring {
  /** 32 lower-case hex digits. */
  readonly vaultId: string;
  /** What new data keys are sealed under. */
  readonly kek: Kek;
  /** Every term in use, the newest included. */
  readonly keks: readonly Kek[];
  /** Parent of everything that is not a data key. */
  readonly root: KeyObject;
}

/** A new vault's keyring and header file. `createdAt` in Unix ms. */
export async function createKeyring(input: {
  readonly provider: KekProvider;
  readonly random: Random;
  readonly createdAt: number;
}): Promise<{ readonly keyring: Keyring; readonly file: Uint8Array }> {
  const { provider, random } = input;
  const id = random.bytes(ID_BYTES);
  const provided = await provider.create(hex(id));
  const head = new ByteWriter().raw(MAGIC).u8(FORMAT).raw(id).u64(input.createdAt).finish();
  const plaintext = firstKeyring(random);
  try {
    const keyring = parseKeyring(hex(id), plaintext);
    const body = new ByteWriter()
      .raw(head)
      .u8(1)
      .raw(sealSlot({ head, provider, provided, plaintext, random }));
    return { keyring, file: finishFile(body.finish(), keyring.root) };
  } finally {
    plaintext.fill(0);
  }
}

function firstKeyring(random: Random): Uint8Array {
  const [kek, root] = [random.bytes(KEY_BYTES), random.bytes(KEY_BYTES)];
  try {
    return new ByteWriter().u16(1).u32(1).raw(kek).raw(root).finish();
  } finally {
    kek.fill(0);
    root.fill(0);
  }
}

/**
 * Opens the keyring with what `provider` gives.
 * @throws GatehouseError `vault.damaged` (the file), `vault.unknown-format`, `vault.wrong-key` (the key, or no slot
 * for this kind of provider), `vault.key-missing` (from the provider).
 */
export async function openKeyring(path: string, file: Uint8Array, provider: KekProvider): Promise<Keyring> {
  const { head, vaultId, slots, body, mac } = parseFile(path, file);
  const slot = slots.find(({ kind }) => kind === provider.kind);
  if (slot === undefined) throw wrongKey(`this vault has no key slot of the kind ${provider.kind}`);
  const key = await loadKek(provider, vaultId, slot.parameters);
  const plaintext = openOnce({
    ...{ key, label: LABELS.vaultKeyring, header: head, sealed: slot.sealed },
    associatedData: slotBinding(slot.kind, slot.parameters),
  });
  if (plaintext === undefined) throw wrongKey("the key does not open this vault");
  try {
    const keyring = parseKeyring(vaultId, plaintext);
    if (!equalSecrets(mac, macOf(body, keyring.root)))
      throw damaged(path, body.length, "its seal does not match");
    return keyring;
  } finally {
    plaintext.fill(0);
  }
}

/** Of the slots that open it, in order. @throws GatehouseError `vault.damaged`, `vault.unknown-format`. */
export function keyKindsOf(path: string, file: Uint8Array): readonly string[] {
  return parseFile(path, file).slots.map(({ kind }) => kind);
}

/** A key for one purpose, from the storage root. */
export function deriveKey({ root, vaultId }: Pick<Keyring, "root" | "vaultId">, label: Label): KeyObject {
  const info = utf8(`${label}/derived`);
  const bytes = hkdfSha256({ ikm: root, salt: fromHex(vaultId), info, length: KEY_BYTES });
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

interface Slot {
  readonly kind: string;
  readonly parameters: Uint8Array;
  readonly sealed: Uint8Array;
}

function sealSlot(input: {
  readonly head: Uint8Array;
  readonly provider: KekProvider;
  readonly provided: ProvidedKey;
  readonly plaintext: Uint8Array;
  readonly random: Random;
}): Uint8Array {
  const { kind } = input.provider;
  const { key, parameters } = input.provided;
  if (parameters.length > PARAMETERS_MAX)
    throw new RangeError(`kek: ${parameters.length} bytes of parameters`);
  const sealed = sealOnce({
    ...{
      key,
      label: LABELS.vaultKeyring,
      header: input.head,
      plaintext: input.plaintext,
      random: input.random,
    },
    associatedData: slotBinding(kind, parameters),
  });
  const name = utf8(kind);
  return new ByteWriter().u8(name.length).raw(name).prefixed(parameters).prefixed(sealed).finish();
}

function slotBinding(kind: string, parameters: Uint8Array): Uint8Array {
  return new ByteWriter().prefixed(utf8(kind)).prefixed(parameters).finish();
}

function finishFile(body: Uint8Array, root: KeyObject): Uint8Array {
  const sealed = new ByteWriter().raw(body).raw(macOf(body, root)).finish();
  return new ByteWriter().raw(sealed).raw(sha256(sealed)).finish();
}

function macOf(body: Uint8Array, root: KeyObject): Uint8Array {
  return hmacSha256(
    deriveKey({ root, vaultId: hex(body.subarray(4, 4 + ID_BYTES)) }, LABELS.vaultHeader),
    body,
  );
}

function parseFile(path: string, file: Uint8Array) {
  const bodyLength = file.length - 2 * HASH_BYTES;
  if (bodyLength < HEAD_BYTES + 1) throw damaged(path, file.length, "it ends early");
  const sealed = file.subarray(0, bodyLength + HASH_BYTES);
  if (!equalBytes(sha256(sealed), file.subarray(sealed.length)))
    throw damaged(path, 0, "its hash does not match");
  if (!equalBytes(file.subarray(0, 3), MAGIC)) throw damaged(path, 0, "it is not a vault's header");
  if (file[3] !== FORMAT) throw unknownFormat(`the vault's header has format ${file[3]}`);
  const body = file.subarray(0, bodyLength);
  return {
    ...{ head: file.subarray(0, HEAD_BYTES), vaultId: hex(file.subarray(4, 4 + ID_BYTES)), body },
    ...{ slots: parseSlots(path, body), mac: sealed.subarray(bodyLength) },
  };
}

function parseSlots(path: string, body: Uint8Array): readonly Slot[] {
  const reader = new ByteReader(body.subarray(HEAD_BYTES));
  try {
    const count = reader.u8();
    if (count < 1 || count > SLOTS_MAX) throw new MalformedBytes(`${count} slots`);
    const slots = Array.from({ length: count }, () => ({
      kind: fromUtf8(reader.raw(reader.u8())),
      parameters: reader.prefixed(PARAMETERS_MAX),
      sealed: reader.prefixed(KEYRING_MAX),
    }));
    reader.end();
    return slots;
  } catch {
    throw damaged(path, HEAD_BYTES + reader.offset, "a key slot is malformed");
  }
}

/** `plaintext` was made by us: it verified. */
function parseKeyring(vaultId: string, plaintext: Uint8Array): Keyring {
  const reader = new ByteReader(plaintext);
  const keks = Array.from({ length: reader.u16() }, () => ({
    term: reader.u32(),
    key: createSecretKey(reader.raw(KEY_BYTES)),
  }));
  const root = createSecretKey(reader.raw(KEY_BYTES));
  reader.end();
  const kek = keks.reduce((newest, next) => (next.term > newest.term ? next : newest));
  return { vaultId, kek, keks, root };
}

function wrongKey(message: string): GatehouseError<"vault.wrong-key"> {
  return new GatehouseError("vault.wrong-key", message, {
    hint: "nothing was changed; point the gatehouse at the key this vault was made with",
  });
}

function unknownFormat(message: string): GatehouseError<"vault.unknown-format"> {
  return new GatehouseError("vault.unknown-format", message, {
    hint: "it was written by a newer gatehouse; upgrade this one",
  });
}
