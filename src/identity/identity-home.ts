import { equalBytes, GatehouseError, type Random } from "../core/index.ts";
import {
  agreementPublicKey,
  generateAgreementKey,
  generateSigningKey,
  generateTlsKey,
  LABELS,
  signingPublicKey,
  signLabelled,
  tlsPublicKey,
} from "../crypto/index.ts";
import { ensurePrivateDir } from "../files/index.ts";
import type { KeyProvider } from "../keystore/index.ts";
import { damagedFile } from "./damage.ts";
import type { IdentityKeys } from "./identity-file.ts";
import {
  copyIdentity,
  copyOfIdentity,
  createIdentity,
  IDENTITY_FILE_NAME,
  newSeal,
  readIdentity,
  replaceIdentity,
  type SealKeys,
  type StoredIdentity,
} from "./identity-store.ts";
import type { FileSeal } from "./sealed-file.ts";
import { dropFromRing, entryOf, type RingEntry, readRing, type TlsRing } from "./tls-ring.ts";

/** An identity's folder: the identity file and its further TLS keys, read and changed together. */

/** Where an identity was opened from, and with what. */
export interface IdentityHome {
  readonly dir: string;
  readonly provider: KeyProvider | undefined;
  readonly seal: FileSeal | undefined;
}

export interface OpenedIdentity {
  readonly keys: IdentityKeys;
  readonly ring: TlsRing;
  /** `undefined` for one in memory only. */
  readonly home: IdentityHome | undefined;
}

export interface IdentityEffects {
  readonly provider: KeyProvider | undefined;
  readonly random: Random;
}

export function generateIdentity(random: Random): OpenedIdentity {
  const keys = generateKeys(random);
  return { keys, ring: [firstOf(keys)], home: undefined };
}

/** @throws GatehouseError `home.not-initialized` and as `readIdentity`, `newSeal` and `readRing` */
export async function openIdentity(dir: string, effects: IdentityEffects): Promise<OpenedIdentity> {
  return await opened(dir, await existing(dir, effects), effects);
}

/** @throws GatehouseError as `openIdentity` */
export async function openOrCreateIdentity(dir: string, effects: IdentityEffects): Promise<OpenedIdentity> {
  const { provider, random } = effects;
  await ensurePrivateDir(dir);
  const found = await readIdentity(dir, effects);
  if (found !== undefined) return await opened(dir, found, effects);
  const seal = provider === undefined ? undefined : await newSeal(provider, random);
  await createIdentity(dir, { keys: generateKeys(random), seal }, random);
  return await opened(dir, await existing(dir, { provider, known: seal }), effects);
}

/**
 * The ring without `dropped`, which is in none of the files any more. When it was the one in the identity file, the
 * oldest of the others takes its place there, and keeps its own file: no moment has a key in neither.
 */
export async function forgetTlsKey(
  { dir, ...seals }: IdentityHome,
  { ring, dropped, publicKey }: { ring: TlsRing; dropped: RingEntry; publicKey: Uint8Array },
  random: Random,
): Promise<TlsRing> {
  const next = ring.findLast((entry) => entry !== dropped);
  if (next === undefined) throw new RangeError("identity: the last TLS key cannot be dropped");
  const { keys, seal } = await existing(dir, { provider: seals.provider, known: seals.seal });
  if (!equalBytes(signingPublicKey(keys.signing), publicKey)) throw replaced();
  if (equalBytes(tlsPublicKey(keys.tls), dropped.identity.spki)) {
    const changed = { ...keys, tls: next.key, tlsBinding: next.binding };
    await replaceIdentity(dir, { keys: changed, seal }, random);
  }
  return await dropFromRing(dir, ring, dropped);
}

/**
 * A copy of the identity file in its folder, named `name`, sealed under a key that `provider` makes. It holds the keys
 * for life; a TLS key that is dropped later stays in it.
 */
export async function keepCopy(
  { dir, ...seals }: IdentityHome,
  name: string,
  effects: { readonly provider: KeyProvider; readonly random: Random },
): Promise<void> {
  const stored = await existing(dir, { provider: seals.provider, known: seals.seal });
  await copyIdentity({ dir, name }, stored, effects);
}

/** The bytes of such a copy; nothing is written. */
export async function copyInMemory(
  { dir, ...seals }: IdentityHome,
  effects: { readonly provider: KeyProvider; readonly random: Random },
): Promise<Uint8Array> {
  const stored = await existing(dir, { provider: seals.provider, known: seals.seal });
  return await copyOfIdentity(stored, effects);
}

/**
 * Puts a new identity file in the place of the one there, from the copy `name`, which `from` opens.
 * @throws GatehouseError `identity.damaged`, `key.wrong`, what the providers throw; `file.not-found` without a copy
 */
export async function restoreIdentity(
  dir: string,
  name: string,
  effects: { readonly from: KeyProvider; readonly provider: KeyProvider; readonly random: Random },
): Promise<OpenedIdentity> {
  const { from, provider, random } = effects;
  const copy = await existingCopy(dir, name, from);
  return await opened(dir, await sealed(dir, copy, { provider, random }), { provider, random });
}

/** Public key of the identity in the copy `name`. @throws GatehouseError as `restoreIdentity` */
export async function copyOwner(dir: string, name: string, from: KeyProvider): Promise<Uint8Array> {
  return signingPublicKey((await existingCopy(dir, name, from)).keys.signing);
}

async function existingCopy(dir: string, name: string, from: KeyProvider): Promise<StoredIdentity> {
  const copy = await readIdentity(dir, { provider: from }, name);
  if (copy === undefined) throw new GatehouseError("file.not-found", `there is no identity/${name}`);
  return copy;
}

async function existing(dir: string, seals: SealKeys): Promise<StoredIdentity> {
  const found = await readIdentity(dir, seals);
  if (found !== undefined) return found;
  throw new GatehouseError("home.not-initialized", "this home has no identity yet", {
    hint: "run `gatehouse init`, or `gatehouse pair join` to pair with a gatehouse",
  });
}

async function opened(
  dir: string,
  found: StoredIdentity,
  { provider, random }: IdentityEffects,
): Promise<OpenedIdentity> {
  const isToSeal = provider !== undefined && found.seal === undefined;
  const { keys, seal } = isToSeal ? await sealed(dir, found, { provider, random }) : found;
  const ring = await readRing(dir, keys.signing, firstOf(keys));
  return { keys, ring, home: { dir, provider, seal } };
}

/** Puts a sealed file in the place of the open one. */
async function sealed(
  dir: string,
  { keys }: StoredIdentity,
  { provider, random }: { readonly provider: KeyProvider; readonly random: Random },
): Promise<StoredIdentity> {
  const seal = await newSeal(provider, random);
  await replaceIdentity(dir, { keys, seal }, random);
  return await existing(dir, { provider, known: seal });
}

function generateKeys(random: Random): IdentityKeys {
  const signing = generateSigningKey(random);
  const agreement = generateAgreementKey(random);
  const tls = generateTlsKey(random);
  return {
    signing,
    agreement,
    tls,
    agreementBinding: signLabelled(signing, LABELS.agreementBinding, agreementPublicKey(agreement)),
    tlsBinding: signLabelled(signing, LABELS.tlsBinding, tlsPublicKey(tls)),
  };
}

function firstOf({ tls, tlsBinding }: IdentityKeys): RingEntry {
  return entryOf({ order: 0, key: tls, binding: tlsBinding });
}

function replaced(): GatehouseError<"identity.damaged"> {
  return damagedFile(IDENTITY_FILE_NAME, "it holds another identity than when it was opened", undefined);
}
