/**
 * Whether an unpacked backup is a gatehouse: whole, of one moment, and the one it says it is. Anybody who knows a
 * recipient can make a file that opens; that it was made by a gatehouse, only that one's identity key can say.
 */
import { type ReadBackup, VersionDigest } from "../backup/index.ts";
import { DeviceCa } from "../ca/index.ts";
import { equalBytes, GatehouseError, isGatehouseError, type Random, Resources } from "../core/index.ts";
import { LABELS, verifyLabelled } from "../crypto/index.ts";
import type { HomeLayout } from "../files/index.ts";
import type { DeviceId, IdentityFacts } from "../identity/index.ts";
import { generateRecoveryKey, type KeyProvider, recoveryRecipient } from "../keystore/index.ts";
import type { Vault } from "../vault/index.ts";
import { readBootRecord } from "./boot-record.ts";
import { caKeyCodec } from "./ca-key-codec.ts";
import { openIdentityCopy } from "./recovery.ts";
import { type Effects, openStorage, type Storage } from "./storage.ts";

export interface UnpackedBackup {
  readonly layout: HomeLayout;
  readonly backup: ReadBackup;
  /** Opens what the backup's own key opens. */
  readonly recovery: KeyProvider;
}

export interface ProvedBackup {
  /** Versions of secrets that were opened, each like its line in the clear. */
  readonly versions: number;
  /** Devices in it, revoked ones included. */
  readonly devices: number;
}

/**
 * Opens everything there.
 * @throws GatehouseError `backup.damaged`; `vault.damaged`, `vault.unknown-format`, `audit.damaged`, `identity.damaged`,
 * `boot.damaged`, `ca.damaged`; `file.io`
 */
export async function proveBackup(
  { layout, backup, recovery }: UnpackedBackup,
  effects: Effects,
): Promise<ProvedBackup> {
  const owner = await opened("its identity", () => openIdentityCopy(layout, recovery));
  checkSignature(backup, owner);
  if ((await readBootRecord(layout.bootFile, owner)) === undefined) throw notWhole("it has no boot record");
  const options = { keyDir: layout.root, kek: recovery, mode: "open" } as const;
  await using resources = new Resources();
  const storage = await opened("its vault", () => openStorage(layout, options, effects, resources));
  checkMoment(backup, storage);
  const codec = caKeyCodec(storage.vault);
  const ca = { gatehouseId: owner.id, codec, clock: effects.clock, random: effects.random };
  await opened("its authority", () => DeviceCa.open(layout.caDir, ca));
  if ((await storage.audit.verify()).kind === "damaged") throw notWhole("its audit log does not verify");
  await checkVersions(storage.vault, backup, effects.random);
  return { versions: backup.manifest.versions, devices: storage.vault.devices.list().length };
}

/** @throws GatehouseError `backup.other-gatehouse` unless it is that one's. */
export function checkGatehouse({ manifest }: ReadBackup, expected: DeviceId | undefined): void {
  if (expected === undefined || manifest.gatehouse.id === expected) return;
  throw new GatehouseError("backup.other-gatehouse", "this is the backup of another gatehouse", {
    hint: "nothing was changed; whoever knows your recovery key's public half can make a backup for it",
  });
}

function checkSignature({ manifest, manifestBytes, signature }: ReadBackup, owner: IdentityFacts): void {
  const isItsOwn = verifyLabelled(owner.publicKey, LABELS.backupManifest, manifestBytes, signature);
  if (manifest.gatehouse.id === owner.id && isItsOwn) return;
  throw notWhole("it was not made by the gatehouse that is in it");
}

function checkMoment({ manifest }: ReadBackup, { vault }: Storage): void {
  const { vaultId, sequence, revocationEpoch } = manifest;
  const isSame =
    vault.id === vaultId && vault.sequence === sequence && vault.devices.epoch === revocationEpoch;
  if (!isSame) throw notWhole("its vault is not the one that its manifest tells of");
}

async function checkVersions(vault: Vault, { versionsDigest }: ReadBackup, random: Random): Promise<void> {
  const digest = new VersionDigest();
  using capture = await vault.capture({ provider: anyKey(random), mark: () => Promise.resolve() });
  for (const version of capture.versions()) {
    digest.add(version);
    version.value.fill(0);
  }
  if (!equalBytes(digest.finish(), versionsDigest)) throw notWhole("its vault and its readable copy differ");
}

/** What says elsewhere that a key does not fit says here that the parts do not. */
async function opened<Result>(what: string, open: () => Promise<Result>): Promise<Result> {
  try {
    return await open();
  } catch (cause) {
    if (isGatehouseError(cause) && MISFITS.has(cause.code))
      throw notWhole(`${what} is not one that its own key opens`, cause);
    throw cause;
  }
}

const MISFITS: ReadonlySet<string> = new Set([
  ...["file.not-found", "file.too-large", "home.not-initialized", "home.bad-permissions"],
  ...["key.missing", "key.wrong", "vault.key-missing", "vault.wrong-key"],
]);

/** Nobody wants to open what it opens. */
function anyKey(random: Random): KeyProvider {
  const { recipient, text } = generateRecoveryKey(random);
  text[Symbol.dispose]();
  return recoveryRecipient({ recipient, random });
}

function notWhole(what: string, cause?: unknown): GatehouseError<"backup.damaged"> {
  return new GatehouseError("backup.damaged", `the backup was not right when it was made: ${what}`, {
    hint: "nothing was changed; take an earlier backup, or make a new one while the gatehouse still runs",
    ...(cause === undefined ? {} : { cause }),
  });
}
