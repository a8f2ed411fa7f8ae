import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hex, isGatehouseError } from "../../src/core/index.ts";
import { parseFolderPath, parseSecretPath, type Vault } from "../../src/vault/index.ts";
import { event, VaultPlace } from "./support.ts";

interface ModelledVersion {
  /** Hex; absent when it is destroyed. */
  value: string | undefined;
  readonly expiresAt: number;
}

interface Modelled {
  readonly versions: Map<number, ModelledVersion>;
  readonly hidden: Set<number>;
  /** What the newest removal hid; empty while the path is not removed. */
  removed: readonly number[];
  latest: number;
  label: string;
}

const KEPT = 4;
const PATHS = ["a", "b", "a/x", "a/y", "a-b", "a/x/deep", "c/x"];
const COUNTED = ["secret", "version", "value", "expiry"] as const;

interface Put {
  readonly kind: "put";
  readonly path: string;
  readonly value: Uint8Array;
  readonly ifVersion: number | undefined;
  readonly ttlMs: number | undefined;
  readonly label: string | undefined;
}

type Call =
  | Put
  | { readonly kind: "remove"; readonly path: string; readonly ifVersion: number | undefined }
  | { readonly kind: "undelete"; readonly path: string }
  | { readonly kind: "destroy"; readonly path: string; readonly version: number | undefined }
  | { readonly kind: "sweep" }
  | { readonly kind: "get"; readonly path: string; readonly version: number | undefined }
  | {
      readonly kind: "list";
      readonly prefix: string;
      readonly label: string | undefined;
      readonly show: "live" | "live-and-removed";
    }
  | { readonly kind: "history"; readonly path: string };

type Step = Call | { readonly kind: "reopen" } | { readonly kind: "wait"; readonly ms: number };

const path = fc.constantFrom(...PATHS);
const version = fc.option(fc.integer({ min: 0, max: 7 }), { nil: undefined });
const label = fc.option(fc.constantFrom("red", "blue"), { nil: undefined });
const ttlMs = fc.option(fc.integer({ min: 1_000, max: 9_000 }), { nil: undefined });
const value = fc.oneof(
  { weight: 9, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 16_200, maxLength: 16_500 }) },
);
const kind = <Kind extends string>(name: Kind) => fc.constant(name);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: kind("put"), path, value, ifVersion: version, ttlMs, label }),
  },
  { weight: 3, arbitrary: fc.record({ kind: kind("remove"), path, ifVersion: version }) },
  { weight: 2, arbitrary: fc.record({ kind: kind("undelete"), path }) },
  { weight: 2, arbitrary: fc.record({ kind: kind("destroy"), path, version }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("sweep") }) },
  { weight: 3, arbitrary: fc.record({ kind: kind("get"), path, version }) },
  {
    weight: 2,
    arbitrary: fc.record({
      ...{ kind: kind("list"), prefix: fc.constantFrom("", "a", "c"), label },
      show: fc.constantFrom("live" as const, "live-and-removed" as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: kind("history"), path }) },
  // Back as well: clocks are set.
  { weight: 2, arbitrary: fc.record({ kind: kind("wait"), ms: fc.integer({ min: -3_000, max: 5_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: kind("reopen") }) },
);

/** What the vault must answer, said as simply as possible. */
class Model {
  readonly #paths = new Map<string, Modelled>();

  answer(call: Call, now: number): string {
    switch (call.kind) {
      case "put":
        return this.#put(call, now);
      case "remove":
        return this.#remove(call.path, call.ifVersion, now);
      case "undelete":
        return this.#undelete(call.path, now);
      case "destroy":
        return this.#destroy(call.path, call.version);
      case "sweep":
        return this.#sweep(now);
      case "get":
        return this.#get(call.path, call.version, now);
      case "list":
        return this.#list(call, now);
      case "history":
        return this.#history(call.path);
    }
  }

  #put({ path, value, ifVersion, ttlMs, label }: Put, now: number): string {
    const found = this.#paths.get(path) ?? {
      ...{ versions: new Map<number, ModelledVersion>(), hidden: new Set<number>() },
      ...{ removed: [], latest: 0, label: "" },
    };
    if (ifVersion !== undefined && ifVersion !== live(found, now)) return "vault.version-conflict";
    found.latest += 1;
    found.versions.set(found.latest, {
      ...{ value: hex(value), expiresAt: ttlMs === undefined ? Infinity : now + ttlMs },
    });
    found.versions.delete(found.latest - KEPT);
    found.removed = [];
    found.label = label ?? found.label;
    this.#paths.set(path, found);
    return `version ${found.latest}`;
  }

  #remove(path: string, ifVersion: number | undefined, now: number): string {
    const found = this.#paths.get(path);
    const newest = found === undefined ? undefined : readable(found, now).at(-1);
    if (found === undefined || newest === undefined) return "vault.not-found";
    if (ifVersion !== undefined && ifVersion !== live(found, now)) return "vault.version-conflict";
    found.removed = [...found.versions.keys()].filter((number) => !found.hidden.has(number));
    for (const number of found.removed) found.hidden.add(number);
    return `version ${newest}`;
  }

  #undelete(path: string, now: number): string {
    const found = this.#paths.get(path);
    if (found === undefined) return "vault.not-found";
    if (found.removed.length === 0) {
      return readable(found, now).length === 0 ? "vault.not-found" : "vault.not-removed";
    }
    const newest = found.removed.filter((number) => isKept(found.versions.get(number), now)).at(-1);
    if (newest === undefined) return "vault.not-found";
    for (const number of found.removed) found.hidden.delete(number);
    found.removed = [];
    return `version ${newest}`;
  }

  #destroy(path: string, version: number | undefined): string {
    const found = this.#paths.get(path);
    if (found === undefined) return "vault.not-found";
    if (version !== undefined && !found.versions.has(version)) return "vault.version-not-found";
    const numbers = version === undefined ? [...found.versions.keys()] : [version];
    const isAny = numbers.some((number) => found.versions.get(number)?.value !== undefined);
    for (const number of numbers) destroy(found, number);
    if (version === undefined && isAny) found.label = "";
    return `versions ${numbers.join(",")}`;
  }

  #sweep(now: number): string {
    const swept: string[] = [];
    for (const [path, found] of this.#paths) {
      for (const [number, { value, expiresAt }] of found.versions) {
        if (value === undefined || expiresAt > now) continue;
        destroy(found, number);
        swept.push(`${path}@${number}`);
      }
    }
    return swept.sort().join(" ");
  }

  #get(path: string, version: number | undefined, now: number): string {
    const found = this.#paths.get(path);
    if (found === undefined || found.removed.length > 0) return "vault.not-found";
    const wanted = version ?? live(found, now);
    if (version === undefined && wanted === 0) return "vault.not-found";
    if (!readable(found, now).includes(wanted)) return "vault.version-not-found";
    return `version ${wanted} ${found.versions.get(wanted)?.value} ${found.label}`;
  }

  #list({ prefix, label, show }: Extract<Call, { kind: "list" }>, now: number): string {
    return [...this.#paths]
      .filter(([path, found]) => {
        return (prefix === "" || path.startsWith(`${prefix}/`)) && (label ?? found.label) === found.label;
      })
      .flatMap(([path, found]) => {
        if (live(found, now) > 0) return [`${path}@${found.latest}`];
        const newest = found.removed.filter((number) => isKept(found.versions.get(number), now)).at(-1);
        return show === "live" || newest === undefined ? [] : [`${path}@${newest} removed`];
      })
      .sort()
      .join(" ");
  }

  #history(path: string): string {
    const found = this.#paths.get(path);
    if (found === undefined) return "vault.not-found";
    return [...found.versions]
      .map(([number, { value }]) => {
        return `${number}${found.hidden.has(number) ? "r" : ""}${value === undefined ? "d" : ""}`;
      })
      .reverse()
      .join(" ");
  }
}

function destroy(found: Modelled, number: number): void {
  const version = found.versions.get(number);
  if (version !== undefined) version.value = undefined;
}

function isKept(version: ModelledVersion | undefined, now: number): boolean {
  return version?.value !== undefined && version.expiresAt > now;
}

function readable(found: Modelled, now: number): readonly number[] {
  return [...found.versions]
    .filter(([number, version]) => !found.hidden.has(number) && isKept(version, now))
    .map(([number]) => number);
}

function live(found: Modelled, now: number): number {
  return readable(found, now).includes(found.latest) ? found.latest : 0;
}

async function actual({ secrets }: Vault, call: Call): Promise<string> {
  switch (call.kind) {
    case "put": {
      const { value, ifVersion, ttlMs, label } = call;
      const { version } = await secrets.put(
        {
          ...{ path: parseSecretPath(call.path), value, createdBy: "t" },
          ...(ifVersion === undefined ? {} : { ifVersion }),
          ...(ttlMs === undefined ? {} : { ttlMs }),
          ...(label === undefined ? {} : { labels: { label } }),
        },
        event(),
      );
      return `version ${version}`;
    }
    case "remove": {
      const { ifVersion } = call;
      const input = { path: parseSecretPath(call.path) };
      const { version } = await secrets.remove(
        ifVersion === undefined ? input : { ...input, ifVersion },
        event(),
      );
      return `version ${version}`;
    }
    case "undelete":
      return `version ${(await secrets.undelete({ path: parseSecretPath(call.path) }, event())).version}`;
    case "destroy": {
      const { version } = call;
      const input = { path: parseSecretPath(call.path) };
      const { versions } = await secrets.destroy(
        version === undefined ? input : { ...input, version },
        event(),
      );
      return `versions ${versions.join(",")}`;
    }
    case "sweep": {
      const { swept, isMore } = await secrets.sweepExpired(256, event());
      expect(isMore).toBe(false);
      return swept
        .map(({ path, version }) => `${path}@${version}`)
        .sort()
        .join(" ");
    }
    case "get": {
      const found = await secrets.get(parseSecretPath(call.path), call.version);
      return `version ${found.version} ${hex(found.value)} ${found.labels["label"] ?? ""}`;
    }
    case "list": {
      const { label, show } = call;
      const found = await secrets.list({
        ...{ prefix: parseFolderPath(call.prefix), limit: 100, show },
        ...(label === undefined ? {} : { labels: { label } }),
      });
      return found.secrets
        .map(({ path, version, isRemoved }) => `${path}@${version}${isRemoved ? " removed" : ""}`)
        .sort()
        .join(" ");
    }
    case "history":
      return (await secrets.history(parseSecretPath(call.path)))
        .map(({ version, isRemoved, isDestroyed }) => {
          return `${version}${isRemoved ? "r" : ""}${isDestroyed ? "d" : ""}`;
        })
        .join(" ");
  }
}

async function answer(vault: Vault, call: Call): Promise<string> {
  try {
    return await actual(vault, call);
  } catch (failure) {
    if (isGatehouseError(failure)) return failure.code;
    throw failure;
  }
}

describe("a vault", () => {
  it("answers as a map of versions would, whatever is asked, reopened and checkpointed in between", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        await using place = await VaultPlace.make();
        const options = { limits: { secretVersionsKept: KEPT, journalTransactions: 12 } };
        const model = new Model();
        let vault = await place.open(options);
        try {
          for (const next of steps) {
            if (next.kind === "reopen") {
              await vault[Symbol.asyncDispose]();
              vault = await place.open(options);
              continue;
            }
            if (next.kind === "wait") {
              place.clock.stepWall(next.ms);
              continue;
            }
            const wanted = model.answer(next, place.clock.now());
            expect(await answer(vault, next)).toBe(wanted);
            const storedBytes = COUNTED.reduce((sum, space) => sum + vault.store.sizeOf(space), 0);
            expect(vault.secrets.usedBytes).toBe(storedBytes);
          }
        } finally {
          await vault[Symbol.asyncDispose]();
        }
      }),
      { numRuns: 40 },
    );
  });

  it("opens nothing from a journal of arbitrary bytes", async () => {
    await using place = await VaultPlace.make();
    await place.open().then((vault) => vault[Symbol.asyncDispose]());
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (bytes) => {
        await writeFile(join(place.dir, "journal-0000000001"), bytes);
        await expect(place.open()).rejects.toMatchObject({ code: "vault.damaged" });
      }),
      { numRuns: 60 },
    );
  });
});
