import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LIMITS } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { settled } from "../support/memory-wire.ts";
import { codeOr } from "./deploys.ts";
import { Gate } from "./gate.ts";
import { bytes, idOf, World } from "./support.ts";

const { Device, Health, Pairing, Policy, Users, Vault } = METHODS;

let world: World;

beforeEach(async () => {
  world = await World.open();
});

afterEach(() => world[Symbol.asyncDispose]());

const add = (name: string, roles: string[] = [], by = "owner") =>
  codeOr(async () => (await world.call(by, Users.Add, { name, roles })).name);
const grant = (name: string, role: string, by = "owner") =>
  codeOr(async () => (await world.call(by, Users.Grant, { name, role })).roles.join());
const assign = (device: string, user: string, by = "owner") =>
  codeOr(async () => (await world.call(by, Device.Assign, { device, user })).user);
const reveal = (name: string) =>
  codeOr(async () =>
    Buffer.from((await world.call(name, Vault.Get, { path: "shared/db" })).value).toString(),
  );
const policy = (id: string, text: string) => world.call("owner", Policy.Put, { id, text });

describe("users", () => {
  it("are added, listed with their devices, given roles and relieved of them, on record", async () => {
    world.parts.clock.advance(1_000);
    const at = world.parts.clock.now();
    expect(await world.call("owner", Users.Add, { name: "grace", roles: ["staff", "ci", "staff"] })).toEqual({
      ...{ name: "grace", roles: ["ci", "staff"], addedAt: at, devices: [] },
    });
    await add("ada");
    await assign("phone", "grace");
    await assign("laptop", "grace");
    const { users } = await world.call("owner", Users.List, {});
    expect(users.map(({ name, roles, devices }) => [name, roles, devices])).toEqual([
      ["ada", [], []],
      ["grace", ["ci", "staff"], [idOf("phone"), idOf("laptop")]],
    ]);
    expect(await grant("ada", "ci")).toBe("ci");
    expect(await grant("ada", "ci")).toBe("ci");
    const ungrant = (role: string) => world.call("owner", Users.Ungrant, { name: "ada", role });
    expect((await ungrant("ci")).roles).toEqual([]);
    expect((await ungrant("ci")).roles).toEqual([]);
    const events = (await world.audited()).map(({ event }) => event);
    const managed = events.filter(({ action }) => action === "user:manage");
    expect(managed.map(({ outcome, detail }) => [outcome, detail])).toEqual([
      ["done", { user: "grace", roles: "staff ci staff" }],
      ["done", { user: "ada", roles: "" }],
      ...[0, 1, 2, 3].map(() => ["done", { user: "ada", role: "ci" }]),
    ]);
    const assigned = events.filter(
      ({ detail }) => detail["user"] === "grace" && detail["roles"] === undefined,
    );
    expect(assigned.map(({ action, resource }) => [action, resource])).toEqual([
      ["device:grant", `device:${idOf("phone")}`],
      ["device:grant", `device:${idOf("laptop")}`],
    ]);
  });

  it("have names of their own, that are names", async () => {
    expect(await add("ada")).toBe("ada");
    expect(await add("ada")).toBe("user.exists");
    for (const name of ["", "Ada", "1a", "a b", "a/b", "a".repeat(65), "ädä"]) {
      expect(await add(name)).toBe("usage.bad-argument");
    }
    expect(await add("eve", ["No Role"])).toBe("usage.bad-argument");
    const roles = Array.from({ length: LIMITS.rolesPerDevice + 1 }, (_, index) => `r${index}`);
    expect(await add("eve", roles)).toBe("usage.bad-argument");
    expect(await add("eve", roles.slice(1))).toBe("eve");
    expect(await grant("eve", "r0")).toBe("usage.bad-argument");
    for (const ask of [grant("nobody", "ci"), assign("phone", "nobody")])
      expect(await ask).toBe("user.not-found");
    await expect(world.call("owner", Users.Remove, { name: "nobody" })).rejects.toMatchObject({
      code: "user.not-found",
    });
  });

  it("are a thousand at most", async () => {
    const { vault, audit } = world.parts;
    const setup = audit.encodeEvent({ action: "test:setup", resource: "-", outcome: "done" });
    const names = Array.from({ length: LIMITS.users - 1 }, (_, index) => `u${index}`);
    await Promise.all(
      names.map((name) => vault.users.add({ name, roles: [], addedAt: 1 }, { audit: setup })),
    );
    expect(await add("the-last")).toBe("the-last");
    expect(await add("one-more")).toBe("vault.full");
    await world.call("owner", Users.Remove, { name: "u0" });
    expect(await add("one-more")).toBe("one-more");
  });

  it("are nobody's business who may not list them", async () => {
    await add("ada");
    for (const name of ["ada", "nobody"]) {
      const denied = world.call("phone", Users.Grant, { name, role: "ci" });
      await expect(denied).rejects.toMatchObject({ code: "authz.denied" });
    }
    await expect(world.call("phone", Users.List, {})).rejects.toMatchObject({ code: "authz.denied" });
  });
});

describe("a device of a user", () => {
  beforeEach(async () => {
    await world.call("owner", Vault.Put, { path: "shared/db", value: bytes("v") });
    await add("ada", ["member"]);
  });

  it("has the user's roles beside its own, as long as both last", async () => {
    expect(await reveal("guest")).toBe("authz.denied");
    expect(await assign("guest", "ada")).toBe("ada");
    expect(await reveal("guest")).toBe("v");
    await world.call("owner", Users.Ungrant, { name: "ada", role: "member" });
    expect(await reveal("guest")).toBe("authz.denied");
    await grant("ada", "member");
    expect(await reveal("guest")).toBe("v");
    expect(await assign("guest", "")).toBe("");
    expect(await reveal("guest")).toBe("authz.denied");
    await assign("guest", "ada");
    const removed = await world.call("owner", Users.Remove, { name: "ada" });
    expect(removed).toMatchObject({ name: "ada", roles: ["member"] });
    expect(await reveal("guest")).toBe("authz.denied");
    expect((await world.call("owner", Device.Show, { device: "guest" })).device?.user).toBe("");
    // Whoever gets the name next does not get the devices.
    await add("ada", ["member"]);
    expect(await reveal("guest")).toBe("authz.denied");
  });

  it("falls under policies that name the user, and its calls are recorded with its own roles", async () => {
    await policy(
      "ada",
      'permit (principal in User::"ada", action == Action::"secret:reveal", resource in Folder::"ada");',
    );
    await world.call("owner", Vault.Put, { path: "ada/a", value: bytes("v") });
    const get = (name: string) =>
      codeOr(async () => String((await world.call(name, Vault.Get, { path: "ada/a" })).version));
    expect(await get("guest")).toBe("authz.denied");
    await assign("guest", "ada");
    expect(await get("guest")).toBe("1");
    await policy("ada", 'forbid (principal in User::"ada", action, resource);');
    expect(await get("guest")).toBe("authz.denied");
    expect(await codeOr(async () => String((await world.call("guest", Health.Ping, {})).payload))).toBe(
      "authz.denied",
    );
  });

  it("loses a stream that only its user let it have, when the user goes", async () => {
    await add("boss", ["owner"]);
    await assign("guest", "boss");
    world.parts.windows.events = [{ kind: "opened", code: "1", uri: "u", expiresAt: 1 }];
    const stream = world.stream("guest", Pairing.Open, {});
    await stream.next();
    const ended = codeOr(async () => String((await stream.next()).done));
    await world.call("owner", Users.Remove, { name: "boss" });
    expect(await ended).toBe("authz.denied");
    await settled();
    expect(world.parts.windows.isClosed).toBe(true);
  });

  it("keeps its user over a restart", async () => {
    await assign("guest", "ada");
    world = await world.restart();
    expect(await reveal("guest")).toBe("v");
    expect((await world.call("owner", Users.List, {})).users).toMatchObject([{ devices: [idOf("guest")] }]);
  });
});

describe("who may give what", () => {
  /** `hr` manages users and devices, and may not make owners. */
  const HR = `
    @id("manages") permit (principal in Role::"hr", action in [Action::"user:manage", Action::"device:grant", Action::"device:list", Action::"user:list"], resource);
    @id("no-owners") forbid (principal in Role::"hr", action in [Action::"user:manage", Action::"device:grant"], resource)
    when { context has role && context.role == "owner" };`;

  beforeEach(async () => {
    await policy("hr", HR);
    await world.call("owner", Device.Grant, { device: "laptop", role: "hr" });
    await add("boss", ["staff", "owner"]);
    await add("ada", ["staff"]);
  });

  it("holds for users as for devices, and for a device that would get it by its user", async () => {
    expect(await add("eve", ["staff"], "laptop")).toBe("eve");
    expect(await add("mallory", ["staff", "owner"], "laptop")).toBe("authz.denied");
    expect(await grant("eve", "owner", "laptop")).toBe("authz.denied");
    expect(await assign("phone", "ada", "laptop")).toBe("ada");
    expect(await assign("phone", "boss", "laptop")).toBe("authz.denied");
    expect((await world.call("owner", Device.Show, { device: "phone" })).device?.user).toBe("ada");
    expect((await world.call("owner", Users.List, {})).users.map(({ name }) => name)).toEqual([
      "ada",
      "boss",
      "eve",
    ]);
    const denied = (await world.auditLines()).filter((line) => line.endsWith("denied authz.denied"));
    expect(denied.map((line) => line.split(" ")[1])).toEqual(["user:manage", "user:manage", "device:grant"]);
  });

  it("is decided by the roles that the user has when the device gets it", async () => {
    const gate = new Gate();
    await using slow = await World.open(({ devices }) => ({
      devices: {
        ...devices,
        assign: async (...args) => {
          await gate.pass();
          return await devices.assign(...args);
        },
      },
    }));
    await slow.call("owner", Policy.Put, { id: "hr", text: HR });
    await slow.call("owner", Device.Grant, { device: "laptop", role: "hr" });
    await slow.call("owner", Users.Add, { name: "ada", roles: ["staff"] });
    const assigning = codeOr(
      async () => (await slow.call("laptop", Device.Assign, { device: "phone", user: "ada" })).user,
    );
    await gate.reached;
    await slow.call("owner", Users.Grant, { name: "ada", role: "owner" });
    gate.open();
    expect(await assigning).toBe("authz.denied");
    expect((await slow.call("owner", Device.Show, { device: "phone" })).device?.user).toBe("");
  });

  it.each(["assigned", "added"])("is decided by the rights that the giver has then: %s", async (how) => {
    const gate = new Gate();
    await using slow = await World.open(({ devices, users }) => ({
      devices: {
        ...devices,
        assign: async (...args) => {
          await gate.pass();
          return await devices.assign(...args);
        },
      },
      users: {
        ...users,
        add: async (...args) => {
          if (args[0].name === "mallory") await gate.pass();
          return await users.add(...args);
        },
      },
    }));
    const text = HR.replace(
      'context.role == "owner"',
      'context.role == "owner" && !(principal in Role::"chief")',
    );
    await slow.call("owner", Policy.Put, { id: "hr", text });
    for (const role of ["hr", "chief"]) await slow.call("owner", Device.Grant, { device: "laptop", role });
    await slow.call("owner", Users.Add, { name: "boss", roles: ["owner"] });
    const giving = codeOr(async () =>
      how === "assigned"
        ? (await slow.call("laptop", Device.Assign, { device: "phone", user: "boss" })).user
        : (await slow.call("laptop", Users.Add, { name: "mallory", roles: ["owner"] })).name,
    );
    await gate.reached;
    await slow.call("owner", Device.Ungrant, { device: "laptop", role: "chief" });
    gate.open();
    expect(await giving).toBe("authz.denied");
    expect((await slow.call("owner", Device.Show, { device: "phone" })).device?.user).toBe("");
    expect((await slow.call("owner", Users.List, {})).users.map(({ name }) => name)).toEqual(["boss"]);
  });

  it("leaves a device that was revoked without a user", async () => {
    await world.call("owner", Device.Revoke, { device: "phone" });
    expect(await assign("phone", "ada")).toBe("device.revoked");
    expect(await assign("nobody", "ada")).toBe("device.not-found");
    expect(await assign("nobody", "ada", "guest")).toBe("authz.denied");
  });
});
