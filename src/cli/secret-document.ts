/** Secrets as `--json` prints them, and as tables; never their values. */
import { collectPages } from "./pages.ts";
import type { Session } from "./session.ts";
import type { Style } from "./style.ts";
import { table } from "./table.ts";
import { byteSize, relativeDate } from "./words.ts";

export interface SecretDocument {
  readonly path: string;
  readonly version: number;
  /** Unix milliseconds, as all times here. */
  readonly createdAt: number;
  readonly sizeBytes: number;
  /** 0: never. */
  readonly expiresAt: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly isRemoved: boolean;
}

export interface VersionDocument {
  readonly version: number;
  readonly createdAt: number;
  readonly sizeBytes: number;
  readonly createdBy: string;
  readonly expiresAt: number;
  readonly isRemoved: boolean;
  readonly isDestroyed: boolean;
}

export interface SecretQuery {
  readonly prefix: string;
  /** Every one of these, key and value. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly includeRemoved?: boolean;
}

/** All that the caller may see, page by page. @throws GatehouseError what the gatehouse answers. */
export function listSecrets(
  { client, methods, options }: Session,
  query: SecretQuery,
): Promise<readonly SecretDocument[]> {
  return collectPages(async (pageToken) => {
    const page = await client.call(methods.Vault.List, { ...query, pageToken }, options);
    const items = page.secrets.map((entry) => ({
      ...{ path: entry.path ?? "", version: entry.version ?? 0, createdAt: entry.createdAt ?? 0 },
      ...{ sizeBytes: entry.sizeBytes ?? 0, expiresAt: entry.expiresAt ?? 0 },
      ...{ labels: { ...entry.labels }, isRemoved: entry.isRemoved ?? false },
    }));
    return { items, nextPageToken: page.nextPageToken };
  });
}

/** Newest first. @throws GatehouseError `vault.not-found`. */
export async function listVersions(
  { client, methods, options }: Session,
  path: string,
): Promise<readonly VersionDocument[]> {
  const { versions } = await client.call(methods.Vault.History, { path }, options);
  return versions.map((entry) => ({
    ...{ version: entry.version ?? 0, createdAt: entry.createdAt ?? 0, sizeBytes: entry.sizeBytes ?? 0 },
    ...{ createdBy: entry.createdBy ?? "", expiresAt: entry.expiresAt ?? 0 },
    ...{ isRemoved: entry.isRemoved ?? false, isDestroyed: entry.isDestroyed ?? false },
  }));
}

interface Shown {
  readonly nowMs: number;
  readonly style: Style;
}

/** Labels and removals have a column only where there are any. */
export function secretTable(secrets: readonly SecretDocument[], { nowMs, style }: Shown): string {
  const hasLabels = secrets.some(({ labels }) => Object.keys(labels).length > 0);
  return table(
    ["path", "version", "size", "stored", "expires", ...(hasLabels ? ["labels"] : []), ""],
    secrets.map((secret) => [
      ...[secret.path, String(secret.version), byteSize(secret.sizeBytes)],
      ...[relativeDate(secret.createdAt, nowMs), relativeDate(secret.expiresAt, nowMs)],
      ...(hasLabels ? [labelWords(secret.labels)] : []),
      secret.isRemoved ? "removed" : "",
    ]),
    style,
  );
}

export function versionTable(versions: readonly VersionDocument[], { nowMs, style }: Shown): string {
  return table(
    ["version", "size", "stored", "by", "expires", ""],
    versions.map((entry) => [
      String(entry.version),
      byteSize(entry.sizeBytes),
      relativeDate(entry.createdAt, nowMs),
      entry.createdBy.slice(0, 8),
      relativeDate(entry.expiresAt, nowMs),
      stateOf(entry, nowMs),
    ]),
    style,
  );
}

/** What became of it last: a destroyed version is beyond expiry and removal. */
function stateOf({ isDestroyed, expiresAt, isRemoved }: VersionDocument, nowMs: number): string {
  if (isDestroyed) return "destroyed";
  if (expiresAt !== 0 && expiresAt <= nowMs) return "expired";
  return isRemoved ? "removed" : "";
}

function labelWords(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(" ");
}
