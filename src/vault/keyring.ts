import { createSecretKey, type KeyObject } from "node:crypto";
import { fromHex, GatehouseError, hex, isGatehouseError, type Random, utf8 } from "../core/index.ts";
import {
  equalSecrets,
  hkdfSha256,
  hmacSha256,
  LABELS,
  type Label,
  openOnce,
  sealOnce,
} from "../crypto/index.ts";
import { damaged } from "./damage.ts";
import type { Kek } from "./envelope.ts";
import {
  encodeHeader,
  HEADER_FORMAT,
  type Header,
  type HeaderSlot,
  headOf,
  parseHeader,
  slotBinding,
} from "./header-format.ts";
import { type KekProvider, loadKek } from "./kek-provider.ts";
import { decodeKeyring, encodeKeyring, freshKek, type KeyringContents } from "./keyring-format.ts";

const ID_BYTES = 16;
const KEY_BYTES = 32;

/** The keys of an open vault. */
export interface Keyring {
  /** 32 lower-case hex digits. */
  readonly vaultId: string;
  /** What new data keys are sealed under; read anew for each, it may change. */
  readonly kek: Kek;
  /** Every term in use, the newest included. */
  readonly keks: readonly Kek[];
  /** Parent of everything that is not a data key. */
  readonly root: KeyObject;
}

/** A slot as it is kept, without what only its key opens. */
export type SlotName = Omit<HeaderSlot, "sealed">;

/** An opened header: what is in it, and what a change makes a new one of. */
export interface KeyringState {
  readonly vaultId: string;
  /** Unix ms. */
  readonly createdAt: number;
  readonly slots: readonly SlotName[];
  readonly contents: KeyringContents;
}

/** A new vault's keyring, with one slot. `createdAt` in Unix ms. */
export async function createKeyring(input: {
  readonly provider: KekProvider;
  readonly random: Random;
  readonly createdAt: number;
}): Promise<KeyringState> {
  const { provider, random, createdAt } = input;
  const vaultId = hex(random.bytes(ID_BYTES));
  const contents = { keks: [freshKek(1, random)], root: freshKek(1, random).key, slotKeys: new Map() };
  return await withSlot({ vaultId, createdAt, slots: [], contents }, provider, createdAt);
}

/**
 * Opens the header with what `provider` gives: every slot of its kind is tried.
 * @throws GatehouseError `vault.damaged` (the file), `vault.unknown-format`, `vault.wrong-key` (the key, or no slot
 * for this kind of provider), `vault.key-missing` (from the provider).
 */
export async function openKeyring(
  path: string,
  file: Uint8Array,
  provider: KekProvider,
): Promise<KeyringState> {
  const header = parseHeader(path, file);
  const slots = header.slots.filter(({ kind }) => kind === provider.kind);
  if (slots.length === 0) throw wrongKey(`this vault has no key slot of the kind ${provider.kind}`);
  let failure: unknown = wrongKey("the key does not open this vault");
  for (const slot of slots) {
    try {
      const contents = openSlot(header, slot, await loadKek(provider, header.vaultId, slot.parameters));
      if (contents !== undefined) return verified(path, header, contents);
    } catch (cause) {
      const mayOpenAnother =
        isGatehouseError(cause, "vault.wrong-key") || isGatehouseError(cause, "vault.key-missing");
      if (!mayOpenAnother) throw cause;
      failure = cause;
    }
  }
  throw failure;
}

/** Adds a slot, with a key that `provider` makes. @throws GatehouseError of the provider. @throws RangeError past eight. */
export async function withSlot(
  state: KeyringState,
  provider: KekProvider,
  createdAt: number,
): Promise<KeyringState> {
  const { vaultId, slots, contents } = state;
  const { key, parameters } = await provider.create(vaultId);
  const number = Math.max(0, ...slots.map((slot) => slot.number)) + 1;
  const slotKeys = new Map(contents.slotKeys).set(number, slotKeyOf(key, vaultId));
  const slot = { number, createdAt, kind: provider.kind, parameters };
  return { ...state, slots: [...slots, slot], contents: { ...contents, slotKeys } };
}

/** The header file, every slot sealed anew. @throws RangeError when it fits no file. */
export function sealKeyring(
  { vaultId, createdAt, slots, contents }: KeyringState,
  random: Random,
): Uint8Array {
  const head = headOf({ format: HEADER_FORMAT, vaultId, createdAt });
  const plaintext = encodeKeyring(contents);
  try {
    const sealed = slots.map((slot): HeaderSlot => {
      const key = contents.slotKeys.get(slot.number);
      if (key === undefined) throw new RangeError(`keyring: no key of slot ${slot.number}`);
      const associatedData = slotBinding(HEADER_FORMAT, slot);
      const context = { key, label: LABELS.vaultKeyring, header: head, associatedData };
      return { ...slot, sealed: sealOnce({ ...context, plaintext, random }) };
    });
    return encodeHeader({ vaultId, createdAt, slots: sealed }, (body) => macOf(body, vaultId, contents.root));
  } finally {
    plaintext.fill(0);
  }
}

/** A key for one purpose, from the storage root. */
export function deriveKey({ root, vaultId }: Pick<Keyring, "root" | "vaultId">, label: Label): KeyObject {
  return derived(root, vaultId, `${label}/derived`);
}

function openSlot(header: Header, slot: HeaderSlot, provided: KeyObject): KeyringContents | undefined {
  const { format, vaultId } = header;
  const slotKey = slotKeyOf(provided, vaultId);
  const plaintext = openOnce({
    // The provider's key itself sealed in format 1.
    ...{ key: format === 1 ? provided : slotKey, label: LABELS.vaultKeyring, header: headOf(header) },
    ...{ associatedData: slotBinding(format, slot), sealed: slot.sealed },
  });
  if (plaintext === undefined) return undefined;
  try {
    const contents = decodeKeyring(format, plaintext);
    return format === 1 ? { ...contents, slotKeys: new Map([[slot.number, slotKey]]) } : contents;
  } finally {
    plaintext.fill(0);
  }
}

function verified(
  path: string,
  { vaultId, createdAt, body, mac, ...header }: Header,
  contents: KeyringContents,
): KeyringState {
  if (!equalSecrets(mac, macOf(body, vaultId, contents.root)))
    throw damaged(path, body.length, "its seal does not match");
  const slots = header.slots.map(({ number, createdAt: at, kind, parameters }) => ({
    ...{ number, createdAt: at, kind, parameters },
  }));
  return { vaultId, createdAt, slots, contents };
}

function slotKeyOf(provided: KeyObject, vaultId: string): KeyObject {
  return derived(provided, vaultId, LABELS.vaultSlot);
}

function derived(ikm: KeyObject, vaultId: string, info: string): KeyObject {
  const bytes = hkdfSha256({ ikm, salt: fromHex(vaultId), info: utf8(info), length: KEY_BYTES });
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

function macOf(body: Uint8Array, vaultId: string, root: KeyObject): Uint8Array {
  return hmacSha256(deriveKey({ root, vaultId }, LABELS.vaultHeader), body);
}

function wrongKey(message: string): GatehouseError<"vault.wrong-key"> {
  return new GatehouseError("vault.wrong-key", message, {
    hint: "nothing was changed; point the gatehouse at the key this vault was made with",
  });
}
