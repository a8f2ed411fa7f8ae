import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { GatehouseError, LIMITS } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { settled } from "../support/memory-wire.ts";
import { bytes, idOf, World } from "./support.ts";

const { Vault, Device, Health, Keys, Pairing, Seal, Authority, Backup } = METHODS;
const { Users, Policy, Tools, Approvals } = METHODS;

/** One call of each method there is; a method that is missing here does not compile. */
const CALLS: {
  readonly [Service in keyof typeof METHODS]: {
    readonly [Method in keyof (typeof METHODS)[Service]]: (world: World, name: string) => Promise<unknown>;
  };
} = {
  Health: {
    Ping: (world, name) => world.call(name, Health.Ping, {}),
    Info: (world, name) => world.call(name, Health.Info, {}),
    Status: (world, name) => world.call(name, Health.Status, {}),
  },
  GrpcHealth: {
    Check: (world, name) => world.call(name, METHODS.GrpcHealth.Check, {}),
    Watch: (world, name) => world.stream(name, METHODS.GrpcHealth.Watch, {}).next(),
  },
  Device: {
    List: (world, name) => world.call(name, Device.List, {}),
    Show: (world, name) => world.call(name, Device.Show, { device: "phone" }),
    Revoke: (world, name) => world.call(name, Device.Revoke, { device: "phone" }),
    Release: (world, name) => world.call(name, Device.Release, { device: "phone" }),
    Rename: (world, name) => world.call(name, Device.Rename, { device: "phone", name: "handset" }),
    Grant: (world, name) => world.call(name, Device.Grant, { device: "phone", role: "ci" }),
    Ungrant: (world, name) => world.call(name, Device.Ungrant, { device: "phone", role: "member" }),
    Assign: (world, name) => world.call(name, Device.Assign, { device: "phone", user: "ada" }),
    Readmit: (world, name) => world.call(name, Device.Readmit, { device: "phone" }),
    Renew: (world, name) => world.call(name, Device.Renew, { certificateRequest: bytes("request") }),
  },
  Users: {
    List: (world, name) => world.call(name, Users.List, {}),
    Add: (world, name) => world.call(name, Users.Add, { name: "eve", roles: ["ci"] }),
    Remove: (world, name) => world.call(name, Users.Remove, { name: "ada" }),
    Grant: (world, name) => world.call(name, Users.Grant, { name: "ada", role: "ci" }),
    Ungrant: (world, name) => world.call(name, Users.Ungrant, { name: "ada", role: "staff" }),
  },
  Policy: {
    List: (world, name) => world.call(name, Policy.List, {}),
    Show: (world, name) => world.call(name, Policy.Show, { id: "default" }),
    Export: (world, name) => world.call(name, Policy.Export, {}),
    Put: (world, name) => world.call(name, Policy.Put, { id: "extra", text: PERMIT_PING }),
    Remove: (world, name) => world.call(name, Policy.Remove, { id: "site" }),
    Rollback: (world, name) => world.call(name, Policy.Rollback, { set: 1 }),
    History: (world, name) => world.call(name, Policy.History, {}),
    Explain: (world, name) =>
      world.call(name, Policy.Explain, { action: "gatehouse:ping", resource: "gatehouse" }),
    Check: (world, name) => world.call(name, Policy.Check, {}),
    Shadow: (world, name) => world.call(name, Policy.Shadow, { remove: { id: "site" } }),
  },
  Tools: {
    List: (world, name) => world.call(name, Tools.List, {}),
    Show: (world, name) => world.call(name, Tools.Show, { name: "hello" }),
    Run: (world, name) => world.stream(name, Tools.Run, { name: "hello" }).next(),
  },
  Approvals: {
    List: (world, name) => world.call(name, Approvals.List, {}),
    Show: (world, name) => world.call(name, Approvals.Show, { id: asked.id }),
    Decide: (world, name) =>
      world.call(name, Approvals.Decide, { id: asked.id, approve: true, argumentsHash: asked.argumentsHash }),
    Watch: (world, name) => world.stream(name, Approvals.Watch, {}).next(),
  },
  Audit: {
    Read: (world, name) => world.stream(name, METHODS.Audit.Read, {}).next(),
  },
  Authority: {
    Show: (world, name) => world.call(name, Authority.Show, {}),
    Rotate: (world, name) => world.call(name, Authority.Rotate, {}),
    RenewServer: (world, name) => world.call(name, Authority.RenewServer, {}),
    RevocationList: (world, name) => world.call(name, Authority.RevocationList, {}),
  },
  Seal: {
    Seal: (world, name) => world.call(name, Seal.Seal, {}),
    Unseal: (world, name) => world.call(name, Seal.Unseal, {}),
  },
  Backup: {
    Create: (world, name) => world.stream(name, Backup.Create, {}).next(),
  },
  Keys: {
    List: (world, name) => world.call(name, Keys.List, {}),
    Rotate: (world, name) => world.call(name, Keys.Rotate, { kind: "deks" }),
    Watch: (world, name) => world.stream(name, Keys.Watch, {}).next(),
    Abort: (world, name) => world.call(name, Keys.Abort, {}),
  },
  Pairing: {
    Open: (world, name) => world.stream(name, Pairing.Open, {}).next(),
    Waiting: (world, name) => world.call(name, Pairing.Waiting, {}),
    Decide: (world, name) => world.call(name, Pairing.Decide, { device: idOf("joiner") }),
  },
  Vault: {
    Put: (world, name) => world.call(name, Vault.Put, { path: "shared/db", value: bytes("new") }),
    Get: (world, name) => world.call(name, Vault.Get, { path: "shared/db" }),
    List: (world, name) => world.call(name, Vault.List, { prefix: "shared" }),
    History: (world, name) => world.call(name, Vault.History, { path: "shared/db" }),
    Remove: (world, name) => world.call(name, Vault.Remove, { path: "shared/db" }),
    Undelete: (world, name) => world.call(name, Vault.Undelete, { path: "shared/hidden" }),
    Destroy: (world, name) => world.call(name, Vault.Destroy, { path: "shared/hidden" }),
  },
};

const PERMIT_PING = 'permit (principal, action == Action::"gatehouse:ping", resource);';
/** `hello` says so; `asked` needs somebody's yes. */
const TOOLS = {
  hello: { command: ["/bin/echo", "hello"], allow_same_user: true },
  asked: { command: ["/bin/echo", "asked"], allow_same_user: true, approval: true },
};
/** What `second` asked for. */
let asked = { id: "", argumentsHash: "" };

const EVERY_CALL = Object.entries(CALLS).flatMap(([service, methods]) =>
  Object.entries(methods).map(([method, call]) => [`${service}/${method}`, call] as const),
);
/** They are allowed to all, or show what the caller may see, which may be nothing. */
const OPEN_TO_ALL = [
  ...["Health/Ping", "Health/Info", "Health/Status", "GrpcHealth/Check", "GrpcHealth/Watch", "Device/Renew"],
  ...["Tools/List", "Approvals/List", "Approvals/Watch"],
];

const JOINER = {
  ...{ deviceId: idOf("joiner"), name: "tablet", kind: "phone", platform: "", role: "member", replaces: "" },
  ...{ expiresAt: 9, remoteAddress: "192.0.2.9" },
};

let world: World;

async function prepared(...changes: Parameters<typeof World.open>): Promise<World> {
  world = await World.open(...changes);
  return world;
}

async function liveSecret(name = "owner"): Promise<string> {
  const { value } = await world.call(name, Vault.Get, { path: "shared/db" });
  return Buffer.from(value).toString();
}

const dispose = () => world[Symbol.asyncDispose]();

/** With something of everything in it. */
async function furnished(): Promise<void> {
  await prepared(undefined, TOOLS);
  await world.call("owner", Vault.Put, { path: "shared/db", value: bytes("old") });
  await world.call("owner", Vault.Put, { path: "shared/hidden", value: bytes("old") });
  await world.call("owner", Vault.Remove, { path: "shared/hidden" });
  await world.call("owner", Users.Add, { name: "ada", roles: ["staff"] });
  await world.call("owner", Policy.Put, { id: "site", text: PERMIT_PING });
  const { value } = await world.stream("second", Tools.Run, { name: "asked", waitMs: 60_000 }).next();
  asked = { id: value?.waiting?.id ?? "", argumentsHash: value?.waiting?.argumentsHash ?? "" };
}

describe("every method", () => {
  beforeAll(async () => {
    await furnished();
    await world.call("owner", Device.Revoke, { device: "laptop" });
  });
  // Denials are limited in number.
  beforeEach(() => world.parts.clock.advance(100));
  afterAll(dispose);

  it.each(EVERY_CALL)("%s is refused to a device that was revoked", async (_method, call) => {
    await expect(call(world, "laptop")).rejects.toMatchObject({ code: "device.revoked" });
    expect(await liveSecret()).toBe("old");
    expect(world.parts.windows.opened).toEqual([]);
  });

  it.each(EVERY_CALL)("%s is refused to a device that nobody knows", async (_method, call) => {
    await expect(call(world, "stranger")).rejects.toMatchObject({ code: "device.revoked" });
  });

  it.each(EVERY_CALL.filter(([method]) => !OPEN_TO_ALL.includes(method)))(
    "%s is denied where no policy permits it, changes nothing, and the denial is on record",
    async (_method, call) => {
      const before = (await world.audited()).length;
      await expect(call(world, "guest")).rejects.toMatchObject({ code: "authz.denied" });
      const records = (await world.audited()).slice(before).map(({ event }) => event);
      expect(records).toMatchObject([{ principal: idOf("guest"), outcome: "denied", code: "authz.denied" }]);
      expect(await liveSecret()).toBe("old");
      expect(world.parts.registry.get(idOf("phone"))?.state).toBe("active");
      expect(world.parts.windows.opened).toEqual([]);
    },
  );
});

describe("every call", () => {
  beforeEach(furnished);
  afterEach(dispose);

  it.each(
    EVERY_CALL.filter(([method]) => !["Health/Ping", "Health/Info", "GrpcHealth/Check"].includes(method)),
  )("%s leaves one record when it is allowed", async (_method, call) => {
    world.parts.windows.events = [{ kind: "expired" }];
    world.parts.windows.joiners = [JOINER];
    const before = (await world.audited()).length;
    await call(world, "owner");
    const records = (await world.audited()).slice(before).map(({ event }) => event);
    expect(records).toMatchObject([
      { principal: idOf("owner"), principalRole: "owner", wire: "quic", remoteAddress: "192.0.2.7" },
    ]);
    expect(["allowed", "done"]).toContain(records[0]?.outcome);
    expect(records[0]?.policies).toContain("default/owner-everything");
    expect(records[0]?.requestId).toHaveLength(16);
  });

  it("leaves no record of a ping but its count", async () => {
    const before = (await world.audited()).length;
    for (let count = 0; count < 7; count += 1) await world.call("guest", Health.Ping, {});
    expect(await world.audited()).toHaveLength(before);
    world.parts.clock.advance(60_000);
    await world.parts.audit.sync();
    const added = (await world.audited())
      .slice(before)
      .filter(({ event }) => event.principal !== idOf("second"))
      .map(({ event }) => JSON.stringify(event));
    expect(added).toEqual([expect.stringMatching(/gatehouse:ping.*7/)]);
  });
});

describe("an audit log that cannot be written", () => {
  afterEach(dispose);

  const broken = new GatehouseError("audit.unavailable", "the audit log cannot be written");

  it("keeps a secret from being shown", async () => {
    let isBroken = false;
    await prepared(({ audit }) => ({
      audit: {
        append: (fields) => (isBroken ? Promise.reject(broken) : audit.append(fields)),
        encodeEvent: (fields) => audit.encodeEvent(fields),
        count: (action) => audit.count(action),
      },
    }));
    await world.call("owner", Vault.Put, { path: "shared/db", value: bytes("old") });
    isBroken = true;
    await expect(liveSecret()).rejects.toMatchObject({ code: "audit.unavailable" });
    const open = world.stream("owner", Pairing.Open, {});
    await expect(open.next()).rejects.toMatchObject({ code: "audit.unavailable" });
    expect(world.parts.windows.opened).toEqual([]);
  });

  it("keeps a change from being made", async () => {
    await prepared(({ audit }) => ({
      audit: {
        append: (fields) => audit.append(fields),
        encodeEvent: () => {
          throw broken;
        },
        count: (action) => audit.count(action),
      },
    }));
    const put = world.call("owner", Vault.Put, { path: "shared/db", value: bytes("new") });
    await expect(put).rejects.toMatchObject({ code: "audit.unavailable" });
    await expect(liveSecret()).rejects.toMatchObject({ code: "vault.not-found" });
  });
});

describe("the calls of one device", () => {
  afterEach(dispose);

  it("are bounded in number, and others are served meanwhile", async () => {
    await prepared();
    const open = (name: string) => world.stream(name, Pairing.Open, {});
    world.parts.windows.events = [{ kind: "opened", code: "1", uri: "u", expiresAt: 1 }];
    const streams = Array.from({ length: LIMITS.callsPerDevice }, () => open("owner"));
    for (const stream of streams) await stream.next();
    await expect(world.call("owner", Health.Ping, {})).rejects.toMatchObject({
      ...{ code: "rpc.overloaded", retryAfterMs: 1_000 },
    });
    await expect(world.call("second", Health.Ping, {})).resolves.toBeDefined();
    await streams[0]?.return?.();
    await settled();
    await expect(world.call("owner", Health.Ping, {})).resolves.toBeDefined();
    for (const stream of streams) await stream.return?.();
    await settled();
  });

  it("count until their handlers have ended, however short their callers' time was", async () => {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await using slow = await World.open(({ secrets }) => ({
      secrets: {
        put: (...put) => secrets.put(...put),
        get: async (...get) => {
          await released;
          return await secrets.get(...get);
        },
        list: (input) => secrets.list(input),
        history: (path) => secrets.history(path),
        remove: (...remove) => secrets.remove(...remove),
        undelete: (...undelete) => secrets.undelete(...undelete),
        destroy: (...destroy) => secrets.destroy(...destroy),
      },
    }));
    const hasty = Array.from({ length: LIMITS.callsPerDevice }, () =>
      slow.call("phone", Vault.Get, { path: "shared/none" }, { timeoutMs: 10 }).catch(() => undefined),
    );
    await settled();
    slow.parts.clock.advance(1_000);
    await Promise.all(hasty);
    await expect(slow.call("phone", Health.Ping, {})).rejects.toMatchObject({ code: "rpc.overloaded" });
    release();
    await settled();
    await slow.parts.audit.sync();
    await settled();
    await expect(slow.call("phone", Health.Ping, {})).resolves.toBeDefined();
  });
});
