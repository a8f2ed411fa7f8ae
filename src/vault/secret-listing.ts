import { LAST_KEY, pages } from "./pages.ts";
import { hasLabels } from "./secret-input.ts";
import type { SecretPath } from "./secret-path.ts";
import { decodeHead, type Head, isLatestKept, isRemoved, keptVersions } from "./secret-records.ts";
import type { ListInput, SecretEntry } from "./secret-types.ts";
import type { VaultStore } from "./store.ts";

/** Records that one `list` looks at, hidden ones included: whoever fills a folder with those must not stop the loop. */
const SEEN_MAX = 2_000;

export interface SecretPage {
  readonly secrets: readonly SecretEntry[];
  readonly next: SecretPath | undefined;
}

/** As `Secrets.list`. */
export function listSecrets(store: VaultStore, input: ListInput, now: number): SecretPage {
  const folder = input.prefix === undefined || input.prefix === "" ? "" : `${input.prefix}/`;
  const after = input.after !== undefined && input.after > folder ? input.after : folder;
  const secrets: SecretEntry[] = [];
  let seen = 0;
  let last: SecretPath | undefined;
  for (const { key, body } of pages(store, "secret", { after, before: `${folder}${LAST_KEY}` })) {
    seen += 1;
    if (seen > SEEN_MAX) return { secrets, next: last };
    const path = key as SecretPath;
    last = path;
    const head = decodeHead(body);
    if (input.labels !== undefined && !hasLabels(head.labels, input.labels)) continue;
    const mayBeRemoved = input.show === "live-and-removed";
    if (isRemoved(head) && mayBeRemoved && !isLatestKept(head, now)) seen += versionsIn(head);
    const entry = entryOf(store, { path, head, mayBeRemoved, now });
    if (entry === undefined) continue;
    if (secrets.length >= input.limit) return { secrets, next: secrets.at(-1)?.path };
    secrets.push(entry);
  }
  return { secrets, next: undefined };
}

interface Candidate {
  readonly path: SecretPath;
  readonly head: Head;
  readonly mayBeRemoved: boolean;
  readonly now: number;
}

function entryOf(store: VaultStore, { path, head, mayBeRemoved, now }: Candidate): SecretEntry | undefined {
  const { labels, latestVersion: version, createdAt, sizeBytes, expiresAt } = head;
  const isHidden = isRemoved(head);
  if (isHidden && !mayBeRemoved) return undefined;
  if (isLatestKept(head, now)) {
    return { path, version, createdAt, sizeBytes, expiresAt, labels, isRemoved: isHidden };
  }
  const older = isHidden ? keptVersions(store, path, { above: head.removedBefore, now }).at(-1) : undefined;
  if (older === undefined) return undefined;
  const facts = { version: older.version, createdAt: older.createdAt, sizeBytes: older.sizeBytes };
  return { path, ...facts, expiresAt: older.expiresAt, labels, isRemoved: true };
}

function versionsIn({ oldestVersion, latestVersion }: Head): number {
  return latestVersion - oldestVersion + 1;
}
