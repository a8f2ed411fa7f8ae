import { join } from "node:path";
import {
  copyOf,
  equalBytes,
  GatehouseError,
  hex,
  invariant,
  isGatehouseError,
  type Random,
} from "../core/index.ts";
import { agreementPublicKey, signingPublicKey, tlsPublicKey } from "../crypto/index.ts";
import { checkPrivate, createOnce, readSmallFile, writeAtomic } from "../files/index.ts";
import type { KeyProvider } from "../keystore/index.ts";
import { verifyAgreementBinding, verifyTlsBinding } from "./bindings.ts";
import { damagedFile } from "./damage.ts";
import { decodeIdentity, encodeIdentity, type IdentityKeys } from "./identity-file.ts";
import {
  type FileSeal,
  isSameSeal,
  isSealedFile,
  parseSealedFile,
  SEALED_FILE_BYTES_MAX,
  type SealedFile,
  sealFile,
  unsealFile,
} from "./sealed-file.ts";

/** The file that holds an identity, sealed or not. */

export const IDENTITY_FILE_NAME = "identity.key";
/** Of a further copy, sealed for somebody else. */
const COPY_NAME = /^recovery-[0-9a-f]{16}\.key$/;

const KEY_ID_BYTES = 16;

export interface StoredIdentity {
  readonly keys: IdentityKeys;
  /** `undefined` when the file lies open. */
  readonly seal: FileSeal | undefined;
}

export interface SealKeys {
  /** Opens a sealed file. */
  readonly provider: KeyProvider | undefined;
  /** Tried first, so that nobody is asked twice. */
  readonly known?: FileSeal | undefined;
}

/**
 * `undefined` when there is none.
 * @throws GatehouseError `identity.damaged`, `key.missing` and `key.wrong` naming the file or the provider's kind;
 * what the provider throws; `home.bad-permissions`, `file.io`.
 */
export async function readIdentity(
  dir: string,
  seals: SealKeys,
  name = IDENTITY_FILE_NAME,
): Promise<StoredIdentity | undefined> {
  const file = await readFileIn(dir, name);
  if (file === undefined) return undefined;
  if (!isSealedFile(file)) return { keys: decoded(file), seal: undefined };
  const parsed = parsedSeal(file);
  const seal = await sealOf(parsed, seals);
  const plaintext = unsealFile(parsed, seal.key);
  if (plaintext === undefined) throw wrongKey(parsed.kind);
  return { keys: decoded(plaintext), seal };
}

/**
 * Writes a copy beside the identity file, under a key that `provider` makes; replaces one of that name.
 * @throws RangeError unless `name` is `recovery-`, 16 hex digits, `.key`
 */
export async function copyIdentity(
  { dir, name }: { readonly dir: string; readonly name: string },
  stored: StoredIdentity,
  effects: CopyEffects,
): Promise<void> {
  if (!COPY_NAME.test(name)) throw new RangeError("identity: not the name of a copy");
  await withCopyOf(stored, effects, (file) => writeAtomic(join(dir, name), file));
}

/** The bytes of such a copy, the caller's own. */
export async function copyOfIdentity(stored: StoredIdentity, effects: CopyEffects): Promise<Uint8Array> {
  return await withCopyOf(stored, effects, (file) => Promise.resolve(copyOf(file)));
}

interface CopyEffects {
  readonly provider: KeyProvider;
  readonly random: Random;
}

async function withCopyOf<Result>(
  { keys }: StoredIdentity,
  { provider, random }: CopyEffects,
  use: (file: Uint8Array) => Promise<Result>,
): Promise<Result> {
  const keyId = hex(random.bytes(KEY_ID_BYTES));
  const seal = { kind: provider.kind, keyId, ...(await provider.create(keyId)) };
  return await withFileOf({ keys, seal }, random, use);
}

/** Kind of the provider that the file is sealed with; `undefined` when it lies open or is not there. */
export async function sealKindOf(dir: string): Promise<string | undefined> {
  const file = await readFileIn(dir);
  if (file === undefined) return undefined;
  const kind = isSealedFile(file) ? parsedSeal(file).kind : undefined;
  file.fill(0);
  return kind;
}

/** Writes the file if there is none yet: ours or a quicker process's, what it says is the identity. */
export async function createIdentity(dir: string, stored: StoredIdentity, random: Random): Promise<void> {
  await withFileOf(stored, random, (file) => createOnce(join(dir, IDENTITY_FILE_NAME), file));
}

/** Replaces the file, whole or not at all. */
export async function replaceIdentity(dir: string, stored: StoredIdentity, random: Random): Promise<void> {
  await withFileOf(stored, random, (file) => writeAtomic(join(dir, IDENTITY_FILE_NAME), file));
}

/**
 * A key to seal under, new, and already given back once by the provider: what only `create` knew would be lost.
 * @throws GatehouseError of the provider; `key.wrong` when it gave back another.
 */
export async function newSeal(provider: KeyProvider, random: Random): Promise<FileSeal> {
  const { kind } = provider;
  const keyId = hex(random.bytes(KEY_ID_BYTES));
  const { key, parameters } = await provider.create(keyId);
  const again = await provider.load(keyId, parameters);
  if (!again.equals(key)) {
    throw new GatehouseError(
      "key.wrong",
      `the key that was to seal the identity came back another (${kind})`,
      {
        hint: "nothing was changed; try again",
      },
    );
  }
  return { kind, keyId, parameters, key: again };
}

async function readFileIn(dir: string, name = IDENTITY_FILE_NAME): Promise<Uint8Array | undefined> {
  const path = join(dir, name);
  try {
    await checkPrivate(path);
    return await readSmallFile(path, SEALED_FILE_BYTES_MAX);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    if (isGatehouseError(failure, "file.too-large")) throw damaged(failure);
    throw failure;
  }
}

/** Takes `file`. */
function decoded(file: Uint8Array): IdentityKeys {
  try {
    return verified(decodeIdentity(file));
  } catch (cause) {
    throw damaged(cause);
  } finally {
    file.fill(0);
  }
}

function parsedSeal(file: Uint8Array): SealedFile {
  try {
    return parseSealedFile(file);
  } catch (cause) {
    throw damaged(cause);
  }
}

async function sealOf(file: SealedFile, { provider, known }: SealKeys): Promise<FileSeal> {
  if (known !== undefined && isSameSeal(known, file)) return known;
  const { kind, keyId, parameters } = file;
  if (provider === undefined) {
    throw new GatehouseError("key.missing", `the identity is sealed, and its key (${kind}) was not given`, {
      hint: hintFor(kind),
    });
  }
  if (provider.kind !== kind) {
    throw new GatehouseError("key.wrong", `the identity's key is of the kind ${kind}, not ${provider.kind}`, {
      hint: hintFor(kind),
    });
  }
  return { kind, keyId, parameters, key: await provider.load(keyId, parameters) };
}

async function withFileOf<Result>(
  { keys, seal }: StoredIdentity,
  random: Random,
  use: (file: Uint8Array) => Promise<Result>,
): Promise<Result> {
  const plaintext = encodeIdentity(keys);
  try {
    return await use(seal === undefined ? plaintext : sealedFile(seal, plaintext, random));
  } finally {
    plaintext.fill(0);
  }
}

/** Opened again before it is let near the disk: it may replace the only other copy. */
function sealedFile(seal: FileSeal, plaintext: Uint8Array, random: Random): Uint8Array {
  const file = sealFile(seal, plaintext, random);
  const opened = unsealFile(parseSealedFile(file), seal.key);
  invariant(opened !== undefined && equalBytes(opened, plaintext), "a sealed identity opens");
  opened.fill(0);
  return file;
}

function verified(keys: IdentityKeys): IdentityKeys {
  const identityKey = signingPublicKey(keys.signing);
  const agreementKey = agreementPublicKey(keys.agreement);
  const spki = tlsPublicKey(keys.tls);
  if (!verifyAgreementBinding({ identityKey, agreementKey, signature: keys.agreementBinding })) {
    throw new RangeError("the agreement key is not bound to the identity");
  }
  if (!verifyTlsBinding({ identityKey, spki, signature: keys.tlsBinding })) {
    throw new RangeError("the TLS key is not bound to the identity");
  }
  return keys;
}

function wrongKey(kind: string): GatehouseError<"key.wrong"> {
  return new GatehouseError("key.wrong", `the key (${kind}) does not open this identity`, {
    hint: "nothing was changed; give the key, or the passphrase, that the identity was sealed with",
  });
}

function hintFor(kind: string): string {
  return `say where its key is kept: --kek ${kind === "key-file" ? "keyfile" : kind}`;
}

function damaged(cause: unknown): GatehouseError<"identity.damaged"> {
  const hint = `restore identity/${IDENTITY_FILE_NAME} from a backup; a new identity would have to pair anew everywhere`;
  return damagedFile(IDENTITY_FILE_NAME, hint, cause);
}
