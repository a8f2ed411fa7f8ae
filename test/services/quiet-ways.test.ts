/** Ways around that nobody would think of at first, each of them found by somebody who tried. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { METHODS } from "../../src/gen/index.ts";
import { codeOr, Deploys } from "./deploys.ts";
import { bytes, idOf, World } from "./support.ts";

const { Approvals, Device, Policy, Tools, Users, Vault } = METHODS;

let deploys: Deploys;

beforeEach(async () => {
  deploys = await Deploys.open();
});

afterEach(() => deploys[Symbol.asyncDispose]());

const put = (text: string, id = "site") =>
  codeOr(async () => String((await deploys.world.call("owner", Policy.Put, { id, text })).set));
const give = (device: string, user: string, by = "owner") =>
  codeOr(async () => (await deploys.world.call(by, Device.Assign, { device, user })).user);

describe("a person with two devices", () => {
  beforeEach(async () => {
    await deploys.world.call("owner", Users.Add, { name: "ada", roles: [] });
    await give("phone", "ada");
  });

  it("cannot say yes with one to what the other asked", async () => {
    await give("laptop", "ada");
    // Nobody else could: there is nothing to wait for.
    expect(await deploys.run("phone")).toBe("authz.denied");
    await deploys.world.call("owner", Device.Grant, { device: "second", role: "release" });
    const asked = await deploys.ask();
    expect(await deploys.decide("laptop", asked)).toBe("approval.self");
    expect(deploys.runs()).toEqual([]);
    expect(await deploys.decide("second", asked)).toBe("approved");
    expect(await deploys.run("phone", { approval: asked.id })).toBe("exited 0");
  });

  it("gains nothing by a yes from before both were theirs", async () => {
    const asked = await deploys.ask();
    expect(await deploys.decide("laptop", asked)).toBe("approved");
    await give("laptop", "ada");
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.stale");
    expect(deploys.runs()).toEqual([]);
  });
});

describe("whoever may give and take all roles but owner", () => {
  beforeEach(async () => {
    const helper =
      'permit (principal in Role::"helper", action in [Action::"device:grant", Action::"user:manage"], resource)' +
      ' unless { context has role && context.role == "owner" };';
    await put(helper);
    await deploys.world.call("owner", Device.Grant, { device: "guest", role: "helper" });
    await deploys.world.call("owner", Users.Add, { name: "boss", roles: ["owner"] });
    await deploys.world.call("owner", Users.Add, { name: "ada", roles: ["staff"] });
    await give("phone", "boss");
  });

  it("takes owner from nobody's devices by way of their user", async () => {
    expect(await give("phone", "", "guest")).toBe("authz.denied");
    expect(await give("phone", "ada", "guest")).toBe("authz.denied");
    const remove = (name: string) =>
      codeOr(async () => (await deploys.world.call("guest", Users.Remove, { name })).name);
    expect(await remove("boss")).toBe("authz.denied");
    expect(await remove("ada")).toBe("ada");
    const { device } = await deploys.world.call("owner", Device.Show, { device: "phone" });
    expect(device?.user).toBe("boss");
  });
});

describe("whoever may read policies and nothing else", () => {
  beforeEach(async () => {
    await put('permit (principal in Role::"visitor", action == Action::"policy:read", resource);');
    await deploys.world.call("owner", Vault.Put, { path: "projects/merger", value: bytes("1") });
  });

  it("sees of the requests of others how many there were", async () => {
    const forbid = { put: { id: "no", text: "forbid (principal, action, resource);" } };
    const seen = await deploys.world.call("guest", Policy.Shadow, forbid);
    expect(seen.changedInAll).toBeGreaterThan(seen.changed.length);
    expect(seen.changed.filter(({ request }) => request?.device !== idOf("guest"))).toEqual([]);
    expect(JSON.stringify(seen)).not.toContain("merger");
    const all = await deploys.world.call("owner", Policy.Shadow, forbid);
    expect(JSON.stringify(all)).toContain("merger");
  });

  it("learns of no device and no tool by asking about one", async () => {
    const ask = (resource: string, action = "device:rename") =>
      codeOr(async () =>
        String((await deploys.world.call("guest", Policy.Explain, { action, resource })).isAllowed),
      );
    for (const name of ["phone", "nobody"]) expect(await ask(`device:${name}`)).toBe("authz.denied");
    for (const name of ["deploy", "none"]) expect(await ask(`tool:${name}`, "tool:run")).toBe("authz.denied");
    expect(await ask("secret:shared/db", "secret:reveal")).toBe("false");
  });

  it("works on policies in its turn, and a few may wait for theirs", async () => {
    const text = Array.from({ length: 40 }, (_, at) => `@id("p${at}") permit (principal, action, resource);`);
    const shadow = () =>
      codeOr(async () => {
        await deploys.world.call("guest", Policy.Shadow, { put: { id: "big", text: text.join("\n") } });
        return "done";
      });
    const answers = Promise.all(Array.from({ length: 6 }, shadow));
    const change = put(text.join("\n"), "many");
    expect((await answers).sort()).toEqual([...Array(4).fill("done"), "rpc.overloaded", "rpc.overloaded"]);
    expect(await change).toMatch(/^\d+$/);
    expect(await shadow()).toBe("done");
  });
});

describe("a set of policies that nobody could change from anywhere", () => {
  it("is noticed, though a call from no address could", async () => {
    const forbid =
      'forbid (principal, action == Action::"policy:write", resource) when { context has remoteAddress };';
    expect(await put(forbid)).toBe("policy.lockout");
  });
});

describe("whoever may run no tool", () => {
  it("has the arguments of so many calls looked at as others may make, and then of none", async () => {
    let looks = 0;
    await using watched = await Deploys.open(({ shop }) => ({
      shop: {
        tools: new Proxy(shop.tools, {
          get: (tools, name) => {
            if (name === "get") looks += 1;
            const value: unknown = Reflect.get(tools, name);
            return typeof value === "function" ? value.bind(tools) : value;
          },
        }),
        run: (call, options) => shop.run(call, options),
      },
    }));
    const tryOnce = () => watched.run("guest", { arguments: { environment: "x" } });
    const codes: string[] = [];
    for (let count = 0; count < 70; count += 1) {
      watched.world.parts.clock.advance(60);
      codes.push(await tryOnce());
    }
    expect(codes.slice(0, 60)).toEqual(Array(60).fill("authz.denied"));
    expect(codes.at(-1)).toBe("rpc.rate-limited");
    const before = looks;
    expect(await tryOnce()).toBe("rpc.rate-limited");
    expect(looks).toBe(before);
  });
});

describe("a tool that somebody may not list", () => {
  it("is denied in the words of one that there is not", async () => {
    const refusal = (name: string) =>
      deploys.world
        .stream("guest", Tools.Run, { name })
        .next()
        .catch((failure: unknown) => failure);
    const [known, unknown] = [await refusal("deploy"), await refusal("none")];
    expect(known).toMatchObject({ code: "authz.denied", message: "no policy permits tool:run here" });
    expect(unknown).toEqual(known);
  });
});

describe("questions of many megabytes", () => {
  it("do not keep approvers from the list: it says how many it leaves out", async () => {
    const names = Array.from({ length: 15 }, (_, index) => `p${index}`);
    const wide = {
      command: ["/bin/true", ...names.map((name) => `{${name}}`)],
      ...{ approval: true, allow_same_user: true },
      parameters: Object.fromEntries(names.map((name) => [name, { type: "string", max_length: 4_096 }])),
    };
    await using world = await World.open(undefined, { wide });
    const given = Object.fromEntries(names.map((name) => [name, "x".repeat(4_096)]));
    await world.call("owner", Policy.Put, {
      ...{
        id: "wide",
        text: 'permit (principal in Role::"member", action == Action::"tool:run", resource);',
      },
    });
    for (let index = 0; index < 16; index += 1) {
      world.parts.clock.advance(1);
      const args = { ...given, p0: String(index) };
      const asked = world.stream("phone", Tools.Run, { name: "wide", arguments: args, waitMs: 60_000 });
      expect((await asked.next()).value?.waiting?.state).toBe("pending");
    }
    const { approvals, more } = await world.call("owner", Approvals.List, {});
    expect(more).toBeGreaterThan(0);
    expect(approvals.length + more).toBe(16);
    expect(approvals[0]?.arguments?.["p0"]).toBe("15");
  });

  it("are watched by one device in four calls at once", async () => {
    const watch = () => deploys.world.stream("laptop", Approvals.Watch, {});
    const streams = [watch(), watch(), watch(), watch()];
    for (const stream of streams) await stream.next();
    await expect(watch().next()).rejects.toMatchObject({ code: "rpc.overloaded" });
    await streams[0]?.return?.();
    const again = watch();
    expect((await again.next()).done).toBe(false);
    for (const stream of [...streams.slice(1), again]) await stream.return?.();
  });
});
