import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hex, isGatehouseError } from "../../src/core/index.ts";
import { parseFolderPath, parseSecretPath, type Vault } from "../../src/vault/index.ts";
import { event, VaultPlace } from "./support.ts";

interface Modelled {
  readonly values: Map<number, string>;
  latest: number;
  removedThrough: number;
}

const KEPT = 4;
const PATHS = ["a", "b", "a/x", "a/y", "a-b", "a/x/deep", "c/x"];

type Step =
  | {
      readonly kind: "put";
      readonly path: string;
      readonly value: Uint8Array;
      readonly ifVersion: number | undefined;
    }
  | { readonly kind: "remove"; readonly path: string; readonly ifVersion: number | undefined }
  | { readonly kind: "get"; readonly path: string; readonly version: number | undefined }
  | { readonly kind: "list"; readonly prefix: string }
  | { readonly kind: "reopen" };

const path = fc.constantFrom(...PATHS);
const version = fc.option(fc.integer({ min: 0, max: 7 }), { nil: undefined });
const value = fc.oneof(
  { weight: 9, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 16_200, maxLength: 16_500 }) },
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("put" as const), path, value, ifVersion: version }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("remove" as const), path, ifVersion: version }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("get" as const), path, version }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("list" as const), prefix: fc.constantFrom("", "a", "c") }),
  },
  { weight: 1, arbitrary: fc.constant({ kind: "reopen" as const }) },
);

/** What the vault must answer, said as simply as possible. */
class Model {
  readonly #paths = new Map<string, Modelled>();

  put(path: string, value: Uint8Array, ifVersion: number | undefined): string {
    const found = this.#paths.get(path) ?? {
      values: new Map<number, string>(),
      latest: 0,
      removedThrough: 0,
    };
    if (ifVersion !== undefined && ifVersion !== live(found)) return "vault.version-conflict";
    found.latest += 1;
    found.values.set(found.latest, hex(value));
    found.values.delete(found.latest - KEPT);
    this.#paths.set(path, found);
    return `version ${found.latest}`;
  }

  remove(path: string, ifVersion: number | undefined): string {
    const found = this.#paths.get(path);
    if (found === undefined || live(found) === 0) return "vault.not-found";
    if (ifVersion !== undefined && ifVersion !== live(found)) return "vault.version-conflict";
    found.removedThrough = found.latest;
    return `version ${found.latest}`;
  }

  get(path: string, version: number | undefined): string {
    const found = this.#paths.get(path);
    if (found === undefined || live(found) === 0) return "vault.not-found";
    const wanted = version ?? found.latest;
    const value = wanted > found.removedThrough ? found.values.get(wanted) : undefined;
    return value === undefined ? "vault.version-not-found" : `version ${wanted} ${value}`;
  }

  list(prefix: string): string {
    return [...this.#paths]
      .filter(([path, found]) => live(found) > 0 && (prefix === "" || path.startsWith(`${prefix}/`)))
      .map(([path, found]) => `${path}@${found.latest}`)
      .sort()
      .join(" ");
  }
}

function live({ latest, removedThrough }: Modelled): number {
  return latest > removedThrough ? latest : 0;
}

function expected(model: Model, step: Exclude<Step, { kind: "reopen" }>): string {
  switch (step.kind) {
    case "put":
      return model.put(step.path, step.value, step.ifVersion);
    case "remove":
      return model.remove(step.path, step.ifVersion);
    case "get":
      return model.get(step.path, step.version);
    case "list":
      return model.list(step.prefix);
  }
}

async function actual(vault: Vault, step: Exclude<Step, { kind: "reopen" }>): Promise<string> {
  const { secrets } = vault;
  switch (step.kind) {
    case "put": {
      const input = { path: parseSecretPath(step.path), value: step.value, createdBy: "t" };
      const { ifVersion } = step;
      const { version } = await secrets.put(
        ifVersion === undefined ? input : { ...input, ifVersion },
        event(),
      );
      return `version ${version}`;
    }
    case "remove": {
      const { ifVersion } = step;
      const input = { path: parseSecretPath(step.path) };
      const { version } = await secrets.remove(
        ifVersion === undefined ? input : { ...input, ifVersion },
        event(),
      );
      return `version ${version}`;
    }
    case "get": {
      const found = await secrets.get(parseSecretPath(step.path), step.version);
      return `version ${found.version} ${hex(found.value)}`;
    }
    case "list": {
      const found = await secrets.list({ prefix: parseFolderPath(step.prefix), limit: 100 });
      return found.secrets
        .map(({ path, version }) => `${path}@${version}`)
        .sort()
        .join(" ");
    }
  }
}

async function answer(vault: Vault, step: Exclude<Step, { kind: "reopen" }>): Promise<string> {
  try {
    return await actual(vault, step);
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
            const wanted = expected(model, next);
            expect(await answer(vault, next)).toBe(wanted);
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
