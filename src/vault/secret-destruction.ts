/** What destroying changes, whoever asked for it: a call or the clock. */
import { GatehouseError } from "../core/index.ts";
import { conflict } from "./failures.ts";
import type { SecretPath } from "./secret-path.ts";
import {
  headChange,
  headOf,
  isExpired,
  notFound,
  tombstoneChanges,
  type VersionFacts,
  versionOf,
  versionsOf,
} from "./secret-records.ts";
import type { DestroyInput, VersionName } from "./secret-types.ts";
import type { VaultStore } from "./store.ts";
import type { Change } from "./transaction.ts";

/**
 * Answers every version of those asked for, also when it was destroyed before: so a repetition answers the same.
 * @throws GatehouseError `vault.not-found`, `vault.version-not-found`, `vault.version-conflict`.
 */
export function planDestroy(
  store: VaultStore,
  { path, version, ifVersion }: DestroyInput,
): { readonly changes: readonly Change[]; readonly result: { readonly versions: readonly number[] } } {
  const head = headOf(store, path);
  if (head.latestVersion === 0) throw notFound();
  if (ifVersion !== undefined && ifVersion !== head.latestVersion) {
    throw conflict(`the path is at version ${head.latestVersion}, not ${ifVersion}`);
  }
  const asked = version === undefined ? [...versionsOf(store, path)] : [versionFor(store, { path, version })];
  const isAll = version === undefined;
  return {
    changes: destroyed(store, path, { asked, isAll }),
    result: { versions: asked.map((facts) => facts.version) },
  };
}

/** Those of `names` that are still there and still expired, destroyed. */
export function planSweep(
  store: VaultStore,
  names: readonly VersionName[],
  now: number,
): { readonly changes: readonly Change[]; readonly swept: readonly VersionName[] } {
  const byPath = new Map<SecretPath, VersionFacts[]>();
  for (const name of names) {
    const facts = versionOf(store, name);
    if (facts === undefined || facts.isDestroyed || !isExpired(facts.expiresAt, now)) continue;
    byPath.set(name.path, [...(byPath.get(name.path) ?? []), facts]);
  }
  return {
    changes: [...byPath].flatMap(([path, asked]) => destroyed(store, path, { asked, isAll: false })),
    swept: [...byPath].flatMap(([path, asked]) => asked.map(({ version }) => ({ path, version }))),
  };
}

function destroyed(
  store: VaultStore,
  path: SecretPath,
  { asked, isAll }: { readonly asked: readonly VersionFacts[]; readonly isAll: boolean },
): readonly Change[] {
  const going = asked.filter(({ isDestroyed }) => !isDestroyed);
  if (going.length === 0) return [];
  const head = headOf(store, path);
  const isLatestDestroyed =
    head.isLatestDestroyed || going.some(({ version }) => version === head.latestVersion);
  const labels = isAll ? {} : head.labels;
  return [
    ...going.flatMap((facts) => tombstoneChanges(path, facts)),
    headChange(path, { ...head, labels, isLatestDestroyed }),
  ];
}

function versionFor(store: VaultStore, name: VersionName): VersionFacts {
  const facts = versionOf(store, name);
  if (facts !== undefined) return facts;
  throw new GatehouseError("vault.version-not-found", `there is no version ${name.version} to destroy`, {
    hint: "see which there are: gatehouse vault history PATH",
  });
}
