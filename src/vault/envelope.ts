import { createSecretKey, type KeyObject } from "node:crypto";
import { ByteWriter, concat, fromHex, type Random, utf8 } from "../core/index.ts";
import { LABELS, openerOf, openOnce, sealOnce, sha256 } from "../crypto/index.ts";
import {
  DEK_BYTES,
  DEK_ID_BYTES,
  parseValue,
  parseWrapped,
  valueHeader,
  wrappedHeader,
} from "./envelope-formats.ts";

/**
 * A secret's value under its own data key (DEK), and that key under the vault's key-encryption key (KEK).
 * `envelope-formats.ts` has the byte tables.
 *
 * Bound beside the header: vault id, path, version, created, content type, hash of the version before, each
 * length-prefixed or of fixed size; so a sealed value means something in its one place only.
 */

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
    const keyHeader = wrappedHeader(kek.term, dekId);
    const ownHeader = valueHeader(dekId);
    const wrapped = sealOnce({
      ...{ key: kek.key, label: LABELS.vaultWrappedKey, header: keyHeader },
      ...{ associatedData, plaintext: dek, random },
    });
    const sealed = sealOnce({
      ...{ key: dek, label: LABELS.vaultValue, header: ownHeader },
      ...{ associatedData, plaintext: input.value, random },
    });
    return { wrappedKey: concat(keyHeader, wrapped), sealedValue: concat(ownHeader, sealed) };
  } finally {
    dek.fill(0);
  }
}

/** The KEK term under which `wrappedKey` is sealed; `undefined` when it is not a wrapped key. @throws `vault.unknown-format` */
export function termOf(wrappedKey: Uint8Array): number | undefined {
  return parseWrapped(wrappedKey)?.term;
}

/** The DEK, or `undefined` when anything differs from what was sealed. @throws `vault.unknown-format` */
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

/**
 * The same DEK under another KEK, in the newest format: the value stays as it is. `undefined` when `from` and `binding` do
 * not open it. @throws `vault.unknown-format`
 */
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
  const keyHeader = wrappedHeader(to.term, parsed.dekId);
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

/** What opens the value, each time into bytes of the caller's own; either is `undefined` when anything differs from what was sealed. @throws `vault.unknown-format` */
export function valueOpener(
  dek: KeyObject,
  binding: Uint8Array,
  sealedValue: Uint8Array,
): (() => Uint8Array | undefined) | undefined {
  const parsed = parseValue(sealedValue);
  if (parsed === undefined) return undefined;
  const { header, sealed } = parsed;
  return openerOf({ key: dek, label: LABELS.vaultValue, header, associatedData: binding, sealed });
}

/** What the next version of the path is bound to. */
export function hashOf(sealedValue: Uint8Array): Uint8Array {
  return sha256(sealedValue);
}
