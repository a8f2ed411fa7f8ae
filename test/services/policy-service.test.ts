import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadDefaultPolicies, PolicyStore } from "../../src/authz/index.ts";
import { GatehouseError } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import type { CallOptions } from "../../src/rpc/index.ts";
import { settled } from "../support/memory-wire.ts";
import { codeOr } from "./deploys.ts";
import { Gate, gatedSecrets } from "./gate.ts";
import { bytes, idOf, World } from "./support.ts";

const { Device, Health, Pairing, Policy, Vault } = METHODS;
const PERMIT = 'permit (principal in Role::"ci", action == Action::"secret:reveal", resource);';
const FORBID = 'forbid (principal, action == Action::"secret:write", resource);';

let world: World;

beforeEach(async () => {
  world = await World.open();
});

afterEach(() => world[Symbol.asyncDispose]());

type PutRequest = Parameters<(typeof Policy.Put)["request"]["encode"]>[0];

const put = (request: PutRequest, options?: CallOptions) =>
  world.call("owner", Policy.Put, { id: "site", ...request }, options);
const putCode = (request: PutRequest) => codeOr(async () => String((await put(request)).set));
const setInForce = async () => (await world.call("owner", Policy.List, {})).set;
const texts = async (set = 0) =>
  (await world.call("owner", Policy.Export, { set })).sources.map(({ id, text }) => `${id}: ${text}`);
const reveal = (name: string) =>
  codeOr(async () => Buffer.from((await world.call(name, Vault.Get, { path: "top/db" })).value).toString());

describe("a policy that is put", () => {
  it("is in force when it is answered, with who put it, when, and as which version", async () => {
    await world.call("owner", Vault.Put, { path: "top/db", value: bytes("v") });
    await world.call("owner", Device.Grant, { device: "guest", role: "ci" });
    expect(await reveal("guest")).toBe("authz.denied");
    world.parts.clock.advance(1_000);
    expect(await put({ text: PERMIT })).toEqual({ set: 1, changed: ["site"] });
    expect(await reveal("guest")).toBe("v");
    const shown = await world.call("owner", Policy.Show, { id: "site" });
    const at = world.parts.clock.now();
    expect(shown).toMatchObject({
      id: "site",
      text: PERMIT,
      version: 1,
      changedAt: at,
      changedBy: idOf("owner"),
    });
    world.parts.clock.advance(1_000);
    expect(await world.call("second", Policy.Put, { id: "site", text: FORBID })).toMatchObject({ set: 2 });
    expect(await world.call("owner", Policy.Show, { id: "site" })).toMatchObject({
      ...{ text: FORBID, version: 2, changedAt: at + 1_000, changedBy: idOf("second") },
    });
    expect(await reveal("guest")).toBe("authz.denied");
    const { sources, policies } = await world.call("owner", Policy.List, {});
    expect(sources.map(({ id, version, text }) => [id, version, text])).toEqual([
      ["default", 1, ""],
      ["site", 2, ""],
    ]);
    expect(policies).toContainEqual(
      expect.objectContaining({ id: "site", effect: "forbid", kind: "policy" }),
    );
    const events = (await world.audited()).filter(({ event }) => event.action === "policy:write");
    expect(events.map(({ event }) => [event.resource, event.outcome, event.detail])).toEqual([
      ["policy:site", "done", { change: "put", set: "1", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
      ["policy:site", "done", { change: "put", set: "2", sha256: expect.stringMatching(/^[0-9a-f]{64}$/) }],
    ]);
  });

  it("fits into 256 KiB with all others, or is refused", async () => {
    const long = `${PERMIT}//${"x".repeat(65_400)}`;
    for (const id of ["a", "b", "c"]) await put({ id, text: long });
    expect(await putCode({ id: "d", text: long })).toBe("authz.invalid-policy");
    expect(await setInForce()).toBe(3);
  });

  it("goes in only while the set is in force that its author saw, when it says so", async () => {
    expect(await putCode({ text: PERMIT, ifSet: 1 })).toBe("policy.version-conflict");
    expect(await putCode({ text: PERMIT, ifSet: 0 })).toBe("1");
    const two = [putCode({ text: FORBID, ifSet: 1 }), putCode({ id: "other", text: FORBID, ifSet: 1 })];
    expect((await Promise.all(two)).sort()).toEqual(["2", "policy.version-conflict"]);
    const remove = (ifSet: number) =>
      codeOr(async () => String((await world.call("owner", Policy.Remove, { id: "site", ifSet })).set));
    expect(await remove(1)).toBe("policy.version-conflict");
    expect(await remove(2)).toBe("3");
  });

  it("goes in once for a request that comes again", async () => {
    const requestId = new Uint8Array(16).fill(4);
    const first = await put({ text: PERMIT }, { requestId });
    await put({ text: FORBID });
    expect(await put({ text: PERMIT }, { requestId })).toEqual(first);
    expect(await setInForce()).toBe(2);
    expect((await world.call("owner", Policy.Show, { id: "site" })).text).toBe(FORBID);
    const other = put({ text: FORBID }, { requestId });
    await expect(other).rejects.toMatchObject({ code: "rpc.request-mismatch" });
  });

  it("may be a link that fills in a template, which then cannot go", async () => {
    const text =
      '@id("reads") permit (principal in ?principal, action == Action::"secret:reveal", resource);';
    await put({ id: "templates", text });
    const ci = { type: "Role", id: "ci" };
    await put({ id: "ci-reads", link: { template: "templates/reads", principal: ci } });
    await world.call("owner", Vault.Put, { path: "top/db", value: bytes("v") });
    await world.call("owner", Device.Grant, { device: "guest", role: "ci" });
    expect(await reveal("guest")).toBe("v");
    const shown = await world.call("owner", Policy.Show, { id: "ci-reads" });
    expect(shown).toMatchObject({ text: "", link: { template: "templates/reads", principal: ci } });
    const removed = world.call("owner", Policy.Remove, { id: "templates" });
    await expect(removed).rejects.toMatchObject({ code: "authz.invalid-policy" });
    await world.call("owner", Policy.Remove, { id: "ci-reads" });
    expect(await reveal("guest")).toBe("authz.denied");
  });
});

/** What is wrong with a source, and how it is refused. */
const UNFIT = [
  ["does not parse", { text: "permit (principal" }, "authz.invalid-policy"],
  [
    "names no action there is",
    { text: 'permit (principal, action == Action::"x", resource);' },
    "authz.invalid-policy",
  ],
  [
    "reads what the schema has not",
    { text: "permit (principal, action, resource) when { principal.age > 3 };" },
    "authz.invalid-policy",
  ],
  [
    "may fail for want of a check",
    { text: 'permit (principal, action, resource) when { context.role == "x" };' },
    "authz.invalid-policy",
  ],
  ["has two policies and one id", { text: `${PERMIT}${FORBID}` }, "authz.invalid-policy"],
  ["fills in a template that there is not", { link: { template: "a/b" } }, "authz.invalid-policy"],
  ["is a text and a link", { text: PERMIT, link: { template: "a/b" } }, "usage.bad-argument"],
  ["is too long", { text: `${PERMIT}//${"x".repeat(65_536)}` }, "usage.bad-argument"],
  ["has an id that is none", { id: "No Id", text: PERMIT }, "usage.bad-argument"],
  ["has no id", { id: "", text: PERMIT }, "usage.bad-argument"],
] as const;

describe("a source of policies", () => {
  it("that is none, or not fit for the schema, is refused, and the set in force stays", async () => {
    const before = await texts();
    const answers = [];
    for (const [what, request] of UNFIT) answers.push([what, await putCode(request)]);
    expect(answers).toEqual(UNFIT.map(([what, , code]) => [what, code]));
    expect(await setInForce()).toBe(0);
    expect(await texts()).toEqual(before);
    expect((await world.call("owner", Policy.History, {})).sets).toEqual([]);
    await expect(world.call("owner", Health.Ping, {})).resolves.toBeDefined();
  });
});

describe("the sets of policies", () => {
  it("are taken out of and gone back to; each is a set of its own", async () => {
    const builtIn = await texts();
    await put({ text: PERMIT });
    await put({ text: FORBID });
    expect(await world.call("owner", Policy.Remove, { id: "site" })).toEqual({ set: 3, changed: ["site"] });
    expect(await texts()).toEqual(builtIn);
    expect(await world.call("owner", Policy.Rollback, { set: 1 })).toEqual({ set: 4, changed: ["site"] });
    expect(await texts()).toEqual([...builtIn, `site: ${PERMIT}`]);
    // As it was then.
    expect((await world.call("owner", Policy.Show, { id: "site" })).version).toBe(1);
    expect(await world.call("owner", Policy.Rollback, { set: 0 })).toEqual({ set: 5, changed: ["site"] });
    expect(await texts()).toEqual(builtIn);
    expect(await texts(2)).toEqual([...builtIn, `site: ${FORBID}`]);
    const missing = [
      world.call("owner", Policy.Rollback, { set: 9 }),
      world.call("owner", Policy.Remove, { id: "site" }),
      world.call("owner", Policy.Show, { id: "site" }),
      world.call("owner", Policy.Export, { set: 9 }),
    ];
    for (const one of missing) await expect(one).rejects.toMatchObject({ code: "policy.not-found" });
    const { sets } = await world.call("owner", Policy.History, {});
    expect(sets.map(({ set, what, changed, from }) => [set, what, changed, from])).toEqual([
      [5, "rollback", ["site"], 0],
      [4, "rollback", ["site"], 1],
      [3, "rm", ["site"], 0],
      [2, "put", ["site"], 0],
      [1, "put", ["site"], 0],
    ]);
    expect(new Set(sets.map(({ by }) => by))).toEqual(new Set([idOf("owner")]));
  });

  it("are shown newest first, twenty unless more are asked for", async () => {
    const { vault, audit } = world.parts;
    const store = new PolicyStore(vault.policies, await loadDefaultPolicies());
    const setup = audit.encodeEvent({ action: "test:setup", resource: "-", outcome: "done" });
    // Past the engine, which takes its time for each.
    for (let index = 1; index <= 22; index += 1) {
      await vault.policies.transact(["policy"], { audit: setup }, () =>
        store.planPut({ id: "site", text: `${PERMIT}//${index}` }, { at: index, by: "" }),
      );
    }
    const history = async (limit: number) =>
      (await world.call("owner", Policy.History, { limit })).sets.map(({ set }) => set);
    expect(await history(3)).toEqual([22, 21, 20]);
    expect(await history(0)).toHaveLength(20);
    expect(await history(4_000_000_000)).toHaveLength(22);
    await world.call("owner", Policy.Rollback, { set: 5 });
    expect((await world.call("owner", Policy.Show, { id: "site" })).text).toBe(`${PERMIT}//5`);
  });
});

describe("the last policy by which somebody can change policies", () => {
  const ALL = "permit (principal, action, resource);";
  const REFUSED = "policy.lockout";
  const remove = (forceLockout = false) =>
    codeOr(async () => {
      const { set } = await world.call("owner", Policy.Remove, { id: "default", forceLockout });
      return String(set);
    });

  it("stays: taken out, replaced, forbidden or rolled back, until it is forced", async () => {
    expect(await remove()).toBe(REFUSED);
    expect(await putCode({ id: "default", text: PERMIT })).toBe(REFUSED);
    const forbid = 'forbid (principal, action == Action::"policy:write", resource);';
    expect(await putCode({ text: forbid })).toBe(REFUSED);
    expect(
      await putCode({ id: "default", text: 'permit (principal in Role::"nobody", action, resource);' }),
    ).toBe(REFUSED);
    expect(await setInForce()).toBe(0);
    const failed = (await world.audited()).filter(({ event }) => event.code === "policy.lockout");
    expect(failed).toHaveLength(4);
    expect(await remove(true)).toBe("1");
    expect(await remove(true)).toBe("authz.denied");
    const forced = (await world.audited()).filter(({ event }) => event.detail["lockout"] === "forced");
    expect(forced.map(({ event }) => event.detail)).toEqual([
      { change: "remove", set: "1", lockout: "forced" },
    ]);
  });

  it("goes when another one lets a device that is there do it", async () => {
    await put({ id: "members", text: 'permit (principal in Role::"member", action, resource);' });
    expect(await remove()).toBe("2");
    expect(await putCode({ text: PERMIT })).toBe("authz.denied");
    const back = await world.call("phone", Policy.Put, { id: "owners", text: ALL });
    expect(back.set).toBe(3);
  });

  it("does not count a device that is revoked or quarantined", async () => {
    for (const device of ["phone", "laptop"]) await world.call("owner", Device.Revoke, { device });
    await put({ id: "members", text: 'permit (principal in Role::"member", action, resource);' });
    expect(await remove()).toBe(REFUSED);
  });

  it("is missed by a rollback as well", async () => {
    await put({ id: "default", text: PERMIT, forceLockout: true });
    expect(
      await codeOr(async () => String((await world.call("owner", Policy.Rollback, { set: 0 })).set)),
    ).toBe("authz.denied");
  });
});

describe("a call that is on its way when policies change", () => {
  it("writes nothing when its right has gone before its turn to write", async () => {
    const gate = new Gate();
    await using slow = await World.open(gatedSecrets(gate, "put"));
    const path = `devices/${idOf("phone")}/a`;
    const writing = codeOr(async () =>
      String((await slow.call("phone", Vault.Put, { path, value: bytes("v") })).version),
    );
    await gate.reached;
    await slow.call("owner", Policy.Put, { id: "frozen", text: FORBID });
    gate.open();
    expect(await writing).toBe("authz.denied");
    await expect(slow.call("owner", Vault.Get, { path })).rejects.toMatchObject({ code: "vault.not-found" });
    expect(await slow.auditLines()).toContain(`phone secret:write secret:${path} denied authz.denied`);
  });

  it("ends when it streams", async () => {
    world.parts.windows.events = [{ kind: "opened", code: "1", uri: "u", expiresAt: 1 }];
    const stream = world.stream("second", Pairing.Open, {});
    await stream.next();
    const ended = codeOr(async () => String((await stream.next()).done));
    await put({ text: 'forbid (principal, action == Action::"pair:open", resource);' });
    expect(await ended).toBe("authz.denied");
    await settled();
    expect(world.parts.windows.isClosed).toBe(true);
  });

  it("sees the old set until the new one is on disk, and the whole new one then", async () => {
    const failure = new GatehouseError("audit.unavailable", "the audit log cannot be written");
    let isBroken = false;
    await using frail = await World.open(({ audit }) => ({
      audit: {
        append: (fields) => audit.append(fields),
        encodeEvent: (fields) => {
          if (isBroken) throw failure;
          return audit.encodeEvent(fields);
        },
        count: (action) => audit.count(action),
      },
    }));
    isBroken = true;
    const text = "forbid (principal, action, resource);";
    const failed = frail.call("owner", Policy.Put, { id: "site", text, forceLockout: true });
    await expect(failed).rejects.toMatchObject({ code: "audit.unavailable" });
    isBroken = false;
    // Neither in the vault nor in the engine.
    expect(await frail.call("owner", Policy.List, {})).toMatchObject({ set: 0 });
    await expect(frail.call("phone", Health.Status, {})).resolves.toBeDefined();
  });
});
