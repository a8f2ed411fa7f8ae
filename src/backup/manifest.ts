import { fromUtf8, GatehouseError } from "../core/index.ts";

/** Entry names of a backup; everything below `home/` lies the same way in the home. */
export const ENTRIES = {
  readme: "README.txt",
  secrets: (part: number) => `secrets/${String(part).padStart(5, "0")}.jsonl`,
  isSecrets: (name: string) => /^secrets\/\d{5,}\.jsonl$/.test(name),
  home: (path: string) => `home/${path}`,
  homePrefix: "home/",
  restoreKey: "restore.key",
  manifest: "manifest.json",
  /** The gatehouse's identity key over the manifest's bytes. */
  signature: "manifest.sig",
} as const;

export const MANIFEST_FORMAT = 1;
/** Of the manifest's bytes. */
export const MANIFEST_BYTES_MAX = 16_777_216;

/** What a backup says of itself, in its last entry. */
export interface Manifest {
  readonly format: typeof MANIFEST_FORMAT;
  /** Unix ms. */
  readonly createdAt: number;
  readonly gatehouse: { readonly id: string; readonly name: string };
  readonly vaultId: string;
  /** Of the newest change in it. */
  readonly sequence: number;
  readonly revocationEpoch: number;
  /** Versions in `secrets/`. */
  readonly versions: number;
  readonly entries: readonly ManifestEntry[];
}

export interface ManifestEntry {
  readonly name: string;
  readonly sizeBytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** @throws GatehouseError `backup.damaged`, `backup.unknown-format` */
export function parseManifest(bytes: Uint8Array): Manifest {
  const value = parsed(bytes);
  if (typeof value !== "object" || value === null || !("format" in value))
    throw damagedBackup("its manifest");
  if (value.format !== MANIFEST_FORMAT) {
    throw new GatehouseError(
      "backup.unknown-format",
      "the backup has a format that this gatehouse does not know",
      {
        hint: "it was made by a newer one; upgrade this one",
      },
    );
  }
  if (!isManifest(value)) throw damagedBackup("its manifest");
  return value;
}

export function damagedBackup(what: string, cause?: unknown): GatehouseError<"backup.damaged"> {
  return new GatehouseError("backup.damaged", `the backup is damaged: ${what} is not what was written`, {
    hint: "nothing was changed; take another copy of the file, or an earlier backup",
    ...(cause === undefined ? {} : { cause }),
  });
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw damagedBackup("its manifest", cause);
  }
}

/** Whoever made it held a recipient's name only, so it is read like any stranger's text. */
function isManifest(value: object): value is Manifest {
  const fields = value as Readonly<Record<string, unknown>>;
  const { gatehouse, vaultId, entries } = fields;
  const areNumbers = ["createdAt", "sequence", "revocationEpoch", "versions"].every((name) =>
    Number.isSafeInteger(fields[name]),
  );
  if (!areNumbers || typeof vaultId !== "string" || !Array.isArray(entries)) return false;
  return entries.every(isEntry) && isNamed(gatehouse);
}

function isNamed(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { id, name } = value as Readonly<Record<string, unknown>>;
  return typeof id === "string" && typeof name === "string";
}

function isEntry(value: unknown): value is ManifestEntry {
  if (typeof value !== "object" || value === null) return false;
  const { name, sizeBytes, sha256 } = value as Readonly<Record<string, unknown>>;
  return typeof name === "string" && Number.isSafeInteger(sizeBytes) && typeof sha256 === "string";
}
