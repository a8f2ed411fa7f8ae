import { createSecretKey, type KeyObject } from "node:crypto";
import { fromHex, GatehouseError, hex, isGatehouseError, type Random, utf8 } from "../core/index.ts";
import { equalSecrets, hkdfSha256, hmacSha256, LABELS, type Label, openOnce } from "../crypto/index.ts";
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
import { openToSlot, publicKeyOf, sealToSlot } from "./slot-seal.ts";

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
  const contents = { keks: [freshKek(1, random)], root: freshKek(1, random).key };
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
      const opened = openSlot(path, header, slot, await loadKek(provider, header.vaultId, slot.parameters));
      if (opened !== undefined) return opened;
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
  const keyed = keyedBy(slotKeyOf(key, vaultId), vaultId, contents.root);
  const slot = { number, createdAt, kind: provider.kind, parameters, ...keyed };
  return { ...state, slots: [...slots, slot] };
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
      const place = { header: head, associatedData: slotBinding(HEADER_FORMAT, slot) };
      return { ...slot, sealed: sealToSlot(slot.publicKey, { ...place, plaintext, random }) };
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

function openSlot(
  path: string,
  header: Header,
  slot: HeaderSlot,
  provided: KeyObject,
): KeyringState | undefined {
  const { format, vaultId } = header;
  const slotKey = slotKeyOf(provided, vaultId);
  const place = { header: headOf(header), associatedData: slotBinding(format, slot) };
  // The provider's key itself sealed in format 1.
  const key = format === 1 ? provided : slotKey;
  const plaintext =
    format === 3
      ? openToSlot(pairSecretOf(slotKey, vaultId), { ...place, sealed: slot.sealed })
      : openOnce({ key, label: LABELS.vaultKeyring, ...place, sealed: slot.sealed });
  if (plaintext === undefined) return undefined;
  try {
    const { contents, slotKeys } = decodeKeyring(format, plaintext);
    const keyed = keyedBy(slotKey, vaultId, contents.root);
    if (format === 3 && !equalSecrets(slot.proof, keyed.proof))
      throw damaged(path, 0, "the key fits, and was made for another vault");
    const known = format === 1 ? new Map([[slot.number, slotKey]]) : slotKeys;
    return verified(path, header, contents, known);
  } finally {
    plaintext.fill(0);
  }
}

/** `slotKeys`: of slots that an older format has not keyed by a pair yet. */
function verified(
  path: string,
  { vaultId, createdAt, body, mac, format, ...header }: Header,
  contents: KeyringContents,
  slotKeys: ReadonlyMap<number, KeyObject>,
): KeyringState {
  if (!equalSecrets(mac, macOf(body, vaultId, contents.root)))
    throw damaged(path, body.length, "its seal does not match");
  const slots = header.slots.map(({ sealed: _sealed, ...slot }): SlotName => {
    if (format === 3) return slot;
    const key = slotKeys.get(slot.number);
    if (key === undefined) throw damaged(path, 0, `it lacks the key of slot ${slot.number}`);
    return { ...slot, ...keyedBy(key, vaultId, contents.root) };
  });
  return { vaultId, createdAt, slots, contents };
}

/** What a slot's key leaves in the header. */
function keyedBy(
  slotKey: KeyObject,
  vaultId: string,
  root: KeyObject,
): { readonly publicKey: Uint8Array; readonly proof: Uint8Array } {
  const proofKey = derived(slotKey, vaultId, LABELS.vaultSlotProof);
  const rootProof = derived(root, vaultId, LABELS.vaultRootProof).export();
  try {
    return { publicKey: publicKeyOf(pairSecretOf(slotKey, vaultId)), proof: hmacSha256(proofKey, rootProof) };
  } finally {
    rootProof.fill(0);
  }
}

function pairSecretOf(slotKey: KeyObject, vaultId: string): KeyObject {
  return derived(slotKey, vaultId, LABELS.vaultSlotPair);
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
