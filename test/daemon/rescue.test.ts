import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AuditEvent } from "../../src/audit/index.ts";
import { loadDefaultPolicies, PolicyStore } from "../../src/authz/index.ts";
import { connect, METHODS } from "../../src/client/index.ts";
import {
  isGatehouseError,
  Resources,
  silentLogger,
  systemClock,
  systemRandom,
} from "../../src/core/index.ts";
import { rescuePolicies } from "../../src/daemon/rescue.ts";
import { openStorage } from "../../src/daemon/storage.ts";
import { homeLayout } from "../../src/files/index.ts";
import { keyFileProvider } from "../../src/keystore/index.ts";
import { PairedHomes } from "../client/paired-homes.ts";

const { Policy } = METHODS;
const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };

let homes: PairedHomes;

beforeEach(async () => {
  homes = await PairedHomes.create();
});

afterEach(() => homes[Symbol.asyncDispose]());

const keyDir = () => join(homes.dir, "keys");
const kekIn = (dir: string) => keyFileProvider({ dir, random: systemRandom });
const rescue = (set: number, keys = keyDir()) =>
  rescuePolicies({ ...effects, home: homes.home("hall"), keyDir: keys, kek: kekIn(keys), set });

async function asOwner<Answer>(ask: (client: Awaited<ReturnType<typeof connect>>) => Promise<Answer>) {
  await using client = await connect({ home: homes.home("hall") });
  return await ask(client);
}

async function codeOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
    return "done";
  } catch (failure) {
    if (isGatehouseError(failure)) return failure.code;
    throw failure;
  }
}

/** Runs `gatehouse serve`, as far as this process can, while `work` goes on. */
async function serving<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  await using _daemon = await homes.serve("hall");
  return await work();
}

async function withStorage<Answer>(
  work: (storage: Awaited<ReturnType<typeof openStorage>>) => Promise<Answer>,
): Promise<Answer> {
  await using resources = new Resources();
  const layout = homeLayout(homes.home("hall"));
  const input = { keyDir: keyDir(), kek: kekIn(keyDir()), mode: "open" } as const;
  return await work(await openStorage(layout, input, effects, resources));
}

async function policyEvents(): Promise<readonly AuditEvent[]> {
  return await withStorage(async ({ audit }) => {
    const events: AuditEvent[] = [];
    for await (const { event } of audit.records()) events.push(event);
    return events.filter(({ action }) => action === "policy:write");
  });
}

describe("a gatehouse whose policies let nobody in any more", () => {
  beforeEach(async () => {
    await serving(async () => {
      const text = 'permit (principal in Role::"member", action == Action::"gatehouse:ping", resource);';
      await asOwner((client) => client.call(Policy.Put, { id: "site", text }));
      await asOwner((client) => client.call(Policy.Remove, { id: "default", forceLockout: true }));
    });
  });

  it("is not rescued beside its daemon, and stays as it is", async () => {
    await serving(async () => {
      expect(await codeOf(() => asOwner((client) => client.call(Policy.List, {})))).toBe("authz.denied");
      expect(await codeOf(() => rescue(0))).toBe("home.in-use");
    });
    expect((await policyEvents()).map(({ detail }) => detail["change"])).toEqual(["put", "remove"]);
  });

  it("gets back those that it came with from whoever has its key, on record", async () => {
    expect(await rescue(0)).toEqual({ set: 3, changed: ["default", "site"] });
    const history = await serving(() => asOwner((client) => client.call(Policy.History, {})));
    expect(history.sets[0]).toMatchObject({
      set: 3,
      by: "",
      what: "rescue",
      changed: ["default", "site"],
      from: 0,
    });
    const events = await policyEvents();
    expect(events.at(-1)).toMatchObject({
      ...{ principal: "", resource: "policy:*", outcome: "done" },
      detail: { change: "rescue", set: "3", from: "0" },
    });
  });

  it("or those of an earlier set", async () => {
    expect(await rescue(1)).toEqual({ set: 3, changed: ["default"] });
    const { sources } = await serving(() => asOwner((client) => client.call(Policy.Export, {})));
    expect(sources.map(({ id }) => id)).toEqual(["default", "site"]);
  });

  it("gets nothing without its key, nor for a set that it never had", async () => {
    const stranger = await mkdtemp(join(tmpdir(), "gatehouse-stranger-"));
    expect(await codeOf(() => rescue(0, stranger))).toMatch(/^(?:vault|key)\./);
    await rm(stranger, { recursive: true });
    expect(await codeOf(() => rescue(7))).toBe("policy.not-found");
    expect((await policyEvents()).map(({ detail }) => detail["change"])).toEqual(["put", "remove"]);
    await serving(async () => {
      expect(await codeOf(() => asOwner((client) => client.call(Policy.List, {})))).toBe("authz.denied");
    });
  });
});

describe("a gatehouse whose policies are none to this release", () => {
  it("serves under no others, and is put right by the rescue alone", async () => {
    await serving(async () => undefined);
    await withStorage(async ({ vault, audit }) => {
      const store = new PolicyStore(vault.policies, await loadDefaultPolicies());
      const event = audit.encodeEvent({ action: "test:setup", resource: "-", outcome: "done" });
      const text = 'permit (principal, action == Action::"fax:send", resource);';
      for (const id of ["old", "older"]) {
        await vault.policies.transact(["policy"], { audit: event }, () =>
          store.planPut({ id, text }, { at: 1, by: "" }),
        );
      }
    });
    expect(await codeOf(() => homes.serve("hall"))).toBe("authz.invalid-policy");
    expect(await codeOf(() => rescue(1))).toBe("authz.invalid-policy");
    expect(await codeOf(() => homes.serve("hall"))).toBe("authz.invalid-policy");
    expect(await rescue(0)).toMatchObject({ set: 3 });
    expect(await serving(() => asOwner((client) => client.call(Policy.List, {})))).toMatchObject({ set: 3 });
  });
});
