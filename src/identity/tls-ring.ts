import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { equalBytes, hex, isGatehouseError, type Random } from "../core/index.ts";
import { generateTlsKey, LABELS, signLabelled, tlsPublicKey } from "../crypto/index.ts";
import { checkPrivate, createOnce, listNames, readSmallFile, removeFile } from "../files/index.ts";
import { damagedFile } from "./damage.ts";
import { type TlsIdentity, tlsIdentityOf } from "./tls-identity.ts";
import { decodeTlsKey, encodeTlsKey, TLS_KEY_FILE_BYTES_MAX, type TlsKey } from "./tls-key-file.ts";

/** An identity's TLS keys in `tls-<first 16 hex digits of the key's SHA-256>.key`, beside the identity file. */

const NAME = /^tls-[0-9a-f]{16}\.key$/;
/** A renewal needs two; more are left only by ones that were given up. */
const KEYS_MAX = 16;

export interface RingEntry extends TlsKey {
  readonly identity: TlsIdentity;
}

/** Newest first; never empty. */
export type TlsRing = readonly RingEntry[];

export function entryOf(tlsKey: TlsKey): RingEntry {
  return { ...tlsKey, identity: tlsIdentityOf(tlsKey) };
}

/**
 * The keys in `dir`; `first` is the one in the identity file.
 * @throws GatehouseError `identity.damaged` naming the file; `home.bad-permissions`, `file.io`.
 */
export async function readRing(dir: string, signing: KeyObject, first: RingEntry): Promise<TlsRing> {
  const names = (await listNames(dir)).filter((name) => NAME.test(name));
  const found = await Promise.all(names.map((name) => readEntry(dir, name, signing)));
  return withEntries(
    [first],
    found.flatMap((entry) => entry ?? []),
  );
}

/** A new key, newer than all of `ring`, durable on return. @throws GatehouseError `file.io` */
export async function addToRing(
  dir: string,
  ring: TlsRing,
  { signing, random }: { readonly signing: KeyObject; readonly random: Random },
): Promise<TlsRing> {
  if (ring.length >= KEYS_MAX) throw new RangeError(`identity: ${ring.length} TLS keys; drop one first`);
  const key = generateTlsKey(random);
  const binding = signLabelled(signing, LABELS.tlsBinding, tlsPublicKey(key));
  const entry = entryOf({ order: Math.max(...ring.map(({ order }) => order)) + 1, key, binding });
  await createOnce(join(dir, nameOf(entry)), encodeTlsKey(signing, entry, random));
  return withEntries(ring, [entry]);
}

/** Removes the key's file, if it has one, durable on return. @throws GatehouseError `file.io` */
export async function dropFromRing(dir: string, ring: TlsRing, dropped: RingEntry): Promise<TlsRing> {
  await removeFile(join(dir, nameOf(dropped)));
  return ring.filter((entry) => entry !== dropped);
}

/** `key` is a SubjectPublicKeyInfo or its SHA-256. */
export function findInRing(ring: TlsRing, key: Uint8Array): RingEntry | undefined {
  return ring.find(
    ({ identity: { spki, spkiSha256 } }) => equalBytes(spkiSha256, key) || equalBytes(spki, key),
  );
}

/** `undefined` when another process has dropped it meanwhile. */
async function readEntry(dir: string, name: string, signing: KeyObject): Promise<RingEntry | undefined> {
  const path = join(dir, name);
  try {
    await checkPrivate(path);
    return decoded(name, signing, await readSmallFile(path, TLS_KEY_FILE_BYTES_MAX));
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    throw isGatehouseError(failure, "file.too-large") ? damaged(name, failure) : failure;
  }
}

function decoded(name: string, signing: KeyObject, file: Uint8Array): RingEntry {
  try {
    const entry = entryOf(decodeTlsKey(signing, file));
    if (nameOf(entry) !== name) throw new RangeError("it holds the key of another name");
    return entry;
  } catch (cause) {
    throw damaged(name, cause);
  }
}

/** The identity file's key may have a file of its own, too: that one knows its order. */
function withEntries(ring: TlsRing, more: readonly RingEntry[]): TlsRing {
  const others = ring.filter(({ identity }) => findInRing(more, identity.spkiSha256) === undefined);
  return [...others, ...more].sort(newestFirst);
}

function newestFirst(a: RingEntry, b: RingEntry): number {
  return b.order - a.order || Buffer.compare(a.identity.spkiSha256, b.identity.spkiSha256);
}

function nameOf({ identity }: RingEntry): string {
  return `tls-${hex(identity.spkiSha256.subarray(0, 8))}.key`;
}

function damaged(name: string, cause: unknown) {
  const hint = `restore identity/${name} from a backup, or move it away: certificates for that key are lost then`;
  return damagedFile(name, hint, cause);
}
