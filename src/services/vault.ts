import { GatehouseError, LIMITS } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import type { DeviceId } from "../identity/index.ts";
import type { Router } from "../rpc/index.ts";
import {
  type FolderPath,
  folderOf,
  type Labels,
  type PutInput,
  parseFolderPath,
  parseSecretPath,
  type SecretEntry,
  type SecretPath,
  type Secrets,
} from "../vault/index.ts";
import type { Granted, Guard } from "./guard.ts";
import { mutate } from "./mutate.ts";
import type { Peer } from "./peer.ts";

const PAGE_SIZE = 500;
const PAGE_SIZE_MAX = 1_000;
/** Labels can make entries large: a page fits a message all the same. */
const PAGE_BYTES = LIMITS.messageBytes / 2;
/** Folders decided in one turn of the event loop: a decision that nobody asked for before takes some 0.2 ms. */
const FOLDERS_PER_TURN = 25;

export interface VaultParts {
  readonly guard: Guard;
  /** What a device may keep in the folder of its own. */
  readonly ownFolderBytes: number;
  readonly secrets: Pick<Secrets, "put" | "get" | "list" | "history" | "remove" | "undelete" | "destroy">;
}

export function vaultService(router: Router<Peer>, { guard, secrets, ownFolderBytes }: VaultParts): void {
  const pauses = new Pauses();

  router.handle(METHODS.Vault.Put, (request, context) => {
    const path = parseSecretPath(request.path);
    if (request.value.length > LIMITS.secretValueBytes) throw tooLarge();
    return mutate(METHODS.Vault.Put, {
      ...{ context, request, granted: guard.granted(context) },
      reply: ({ version }: { readonly version: number }) => ({ path, version }),
      change: (mutation) =>
        secrets.put(
          {
            ...{ path, value: request.value, contentType: request.contentType },
            ...{ createdBy: context.peer.deviceId, ...ifVersionOf(request), ...attributesOf(request) },
            ...quotaOf(path, context.peer.deviceId, ownFolderBytes),
          },
          mutation,
        ),
    }).finally(() => request.value.fill(0));
  });

  router.handle(METHODS.Vault.Get, async (request, context) => {
    const path = parseSecretPath(request.path);
    const found = await secrets.get(path, request.version === 0 ? undefined : request.version);
    context.onEnd(() => found.value.fill(0));
    return { path, ...found, labels: { ...found.labels } };
  });

  router.handle(METHODS.Vault.List, async (request, context) => {
    const prefix = parseFolderPath(request.prefix);
    const after = request.pageToken === "" ? undefined : parseSecretPath(request.pageToken);
    const limit = Math.min(request.pageSize === 0 ? PAGE_SIZE : request.pageSize, PAGE_SIZE_MAX);
    const granted = guard.granted(context);
    const pause = () => pauses.next(context.signal);
    const show = request.includeRemoved ? "live-and-removed" : "live";
    const { visible, isMore } = await listVisible(
      { secrets, granted, pause },
      { prefix, after, limit, show, labels: request.labels },
    );
    return { secrets: visible.map(toEntry), nextPageToken: isMore ? (visible.at(-1)?.path ?? "") : "" };
  });

  router.handle(METHODS.Vault.History, async (request) => {
    const path = parseSecretPath(request.path);
    return { path, versions: [...(await secrets.history(path))] };
  });

  router.handle(METHODS.Vault.Remove, (request, context) => {
    const path = parseSecretPath(request.path);
    return mutate(METHODS.Vault.Remove, {
      ...{ context, request, granted: guard.granted(context) },
      reply: ({ version }: { readonly version: number }) => ({ path, version }),
      change: (mutation) => secrets.remove({ path, ...ifVersionOf(request) }, mutation),
    });
  });

  router.handle(METHODS.Vault.Undelete, (request, context) => {
    const path = parseSecretPath(request.path);
    return mutate(METHODS.Vault.Undelete, {
      ...{ context, request, granted: guard.granted(context) },
      reply: ({ version }: { readonly version: number }) => ({ path, version }),
      change: (mutation) => secrets.undelete({ path }, mutation),
    });
  });

  router.handle(METHODS.Vault.Destroy, (request, context) => {
    const path = parseSecretPath(request.path);
    return mutate(METHODS.Vault.Destroy, {
      ...{ context, request, granted: guard.granted(context) },
      reply: ({ versions }: { readonly versions: readonly number[] }) => ({ path, versions: [...versions] }),
      change: (mutation) =>
        secrets.destroy(
          {
            ...{ path, ...(request.version === 0 ? {} : { version: request.version }) },
            ...ifVersionOf(request),
          },
          mutation,
        ),
    });
  });
}

/** Long walks past hidden folders let other calls run in between: one walk goes on in each turn of the event loop. */
class Pauses {
  #last: Promise<void> = Promise.resolve();

  /** @throws what `signal` was aborted with: nobody waits for that walk any more. */
  async next(signal: AbortSignal): Promise<void> {
    this.#last = this.#last.then(() => new Promise<void>((resolve) => setImmediate(resolve)));
    await this.#last;
    signal.throwIfAborted();
  }
}

interface Walk {
  readonly secrets: VaultParts["secrets"];
  readonly granted: Granted;
  readonly pause: () => Promise<void>;
}

interface ListRequest {
  readonly prefix: FolderPath;
  readonly after: SecretPath | undefined;
  readonly limit: number;
  readonly labels: Labels;
  readonly show: "live" | "live-and-removed";
}

/**
 * Decided folder by folder: what the caller may not list is as if it were not there, and never becomes a page token.
 * A folder asked for by name that shows nothing and may not be listed is a denial; the root never is.
 */
async function listVisible(
  { secrets, granted, pause }: Walk,
  { after, limit, ...query }: ListRequest,
): Promise<{ readonly visible: readonly SecretEntry[]; readonly isMore: boolean }> {
  const { prefix } = query;
  const mayList = memoized((path: FolderPath) => granted.may("secret:list", { kind: "folder", path }));
  const visible: SecretEntry[] = [];
  let sizeBytes = 0;
  let cursor = after;
  let folder: FolderPath | undefined;
  let foldersSincePause = 0;
  for (;;) {
    const { secrets: page, next } = await secrets.list({
      ...{ ...query, limit: PAGE_SIZE },
      ...(cursor === undefined ? {} : { after: cursor }),
    });
    for (const entry of page) {
      const isNewFolder = folder !== folderOf(entry.path);
      folder = folderOf(entry.path);
      if (isNewFolder) foldersSincePause += 1;
      if (foldersSincePause > FOLDERS_PER_TURN) {
        foldersSincePause = 0;
        await pause();
      }
      if (!mayList(folder)) continue;
      sizeBytes += entryBytes(entry);
      if (visible.length === limit || sizeBytes > PAGE_BYTES) return { visible, isMore: true };
      visible.push(entry);
    }
    if (next === undefined) break;
    cursor = next;
    foldersSincePause = 0;
    await pause();
  }
  if (visible.length === 0 && prefix !== "" && !mayList(prefix)) {
    throw new GatehouseError("authz.denied", "no policy permits listing this folder", {
      hint: "list without a prefix to see what you may see",
    });
  }
  return { visible, isMore: false };
}

function memoized<Key, Value>(compute: (key: Key) => Value): (key: Key) => Value {
  const known = new Map<Key, Value>();
  return (key) => {
    const value = known.get(key) ?? compute(key);
    known.set(key, value);
    return value;
  };
}

/** Above what it takes encoded. */
function entryBytes({ path, labels }: SecretEntry): number {
  const texts = Object.entries(labels).flat();
  return path.length + 64 + texts.reduce((sum, text) => sum + text.length + 4, 0);
}

function toEntry({ labels, ...entry }: SecretEntry) {
  return { ...entry, labels: { ...labels } };
}

function attributesOf(request: {
  readonly ttlMs?: number | null;
  readonly labels?: { readonly values?: Labels | null } | null;
}): Pick<PutInput, "ttlMs" | "labels"> {
  const { ttlMs, labels } = request;
  return {
    ...(ttlMs === undefined || ttlMs === null ? {} : { ttlMs }),
    ...(labels === undefined || labels === null ? {} : { labels: { ...labels.values } }),
  };
}

function ifVersionOf(request: { readonly ifVersion?: number | null }): { ifVersion?: number } {
  return request.ifVersion === undefined || request.ifVersion === null
    ? {}
    : { ifVersion: request.ifVersion };
}

/** Others may keep in a device's folder what policies let them. */
function quotaOf(path: SecretPath, deviceId: DeviceId, sizeBytes: number): Pick<PutInput, "quota"> {
  const folder = parseFolderPath(`devices/${deviceId}`);
  return path.startsWith(`${folder}/`) ? { quota: { folder, sizeBytes } } : {};
}

function tooLarge(): GatehouseError<"vault.too-large"> {
  return new GatehouseError("vault.too-large", `a value has at most ${LIMITS.secretValueBytes} bytes`, {
    hint: "split it, or keep large files elsewhere and their key here",
  });
}
