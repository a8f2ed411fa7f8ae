import type { Clock, Random } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import { Image } from "./image.ts";
import { encodeSegmentHeader } from "./journal-format.ts";
import type { KekProvider } from "./kek-provider.ts";
import { HEADER_NAME, segmentName, snapshotName, snapshotPath } from "./layout.ts";
import type { LiveKeyring } from "./live-keyring.ts";
import { pages } from "./pages.ts";
import { parseSecretPath, type SecretPath } from "./secret-path.ts";
import { openVersion } from "./secret-reader.ts";
import { decodeHead, recordDamaged } from "./secret-records.ts";
import type { Labels } from "./secret-types.ts";
import { openSnapshotBetweenTurns } from "./snapshot-format.ts";
import type { SqlStore } from "./sql-store.ts";
import { storageKeys } from "./storage-keys.ts";
import type { VaultFiles } from "./vault-files.ts";

const { StoredVersion } = gatehouse.v1;

/** A version of a secret as it stood at the capture. */
export interface CapturedVersion {
  readonly path: SecretPath;
  readonly version: number;
  /** Unix ms. */
  readonly createdAt: number;
  readonly createdBy: string;
  readonly contentType: string;
  /** Unix ms; 0: never. */
  readonly expiresAt: number;
  /** Of the path. */
  readonly labels: Labels;
  readonly isRemoved: boolean;
  /** The caller's own, to wipe. */
  readonly value: Uint8Array;
}

/** A vault as it stood at one moment. */
export interface VaultCapture extends Disposable {
  /** Of the newest transaction in it. */
  readonly sequence: number;
  /** A whole vault's folder: what opens as a vault, by recovery keys and the key it was captured for. */
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array }[];
  /** Every version kept, in order of path and number. @throws GatehouseError `vault.damaged` */
  versions(): Generator<CapturedVersion, void, void>;
}

export interface CaptureParts {
  readonly files: VaultFiles;
  readonly dir: string;
  readonly keyring: LiveKeyring;
  readonly store: SqlStore;
  readonly clock: Clock;
  readonly random: Random;
}

/**
 * `mark` runs at the captured moment: no change can happen, and the audit log holds every event up to here, synced.
 * @throws GatehouseError `vault.checkpoint-failed`, `vault.read-only`, `rpc.draining`
 */
export async function captureVault(
  { files, dir, keyring, store, clock }: CaptureParts,
  { provider, mark }: { readonly provider: KekProvider; readonly mark: () => Promise<void> },
): Promise<VaultCapture> {
  let [number, sealed, header]: [number, Uint8Array, Uint8Array] = [0, new Uint8Array(), new Uint8Array()];
  // What was captured lies under the keys of that moment: a rotation meanwhile takes them from the live ring.
  let { keks } = keyring;
  const marked = async (): Promise<void> => {
    keks = keyring.keks;
    header = await keyring.headerFor(provider, clock.now());
    await mark();
  };
  await store.capture(marked, async (snapshot) => {
    number = snapshot;
    sealed = await files.read(snapshotPath(dir, snapshot));
  });
  const keys = storageKeys(keyring);
  const { position, image: bytes } = await openSnapshotBetweenTurns({
    keys,
    path: snapshotPath(dir, number),
    number,
    bytes: sealed,
  });
  const image = await Image.open(bytes);
  return {
    sequence: position.sequence,
    files: [
      { name: HEADER_NAME, bytes: header },
      { name: snapshotName(number), bytes: sealed },
      { name: segmentName(number), bytes: encodeSegmentHeader(keys, number, position) },
    ],
    versions: () => versionsIn(image, { vaultId: keyring.vaultId, keks }),
    [Symbol.dispose]: () => image[Symbol.dispose](),
  };
}

function* versionsIn(
  image: Image,
  keyring: Pick<LiveKeyring, "vaultId" | "keks">,
): Generator<CapturedVersion, void, void> {
  for (const { key, body } of pages(image, "version")) {
    const stored = StoredVersion.decode(body);
    if (stored.isDestroyed) continue;
    const { version, createdBy } = stored;
    const path = parseSecretPath(key.substring(0, key.indexOf("#")));
    const head = image.get("secret", path);
    if (head === undefined) throw recordDamaged();
    const { labels, removedThrough } = decodeHead(head.body);
    const { open, createdAt, contentType, expiresAt } = openVersion(image, keyring, { path, version });
    const value = open();
    if (value === undefined) throw recordDamaged();
    const isRemoved = version <= removedThrough;
    yield { path, version, createdAt, createdBy, contentType, expiresAt, labels, isRemoved, value };
  }
}
