import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { METHODS } from "../../src/gen/index.ts";
import { codeOr, Deploys } from "./deploys.ts";
import { bytes, idOf } from "./support.ts";

const { Device, Policy, Users, Vault } = METHODS;
/** Members may read policies; `lister` may see devices, too. */
const READERS = `
@id("read") permit (principal in Role::"member", action in [Action::"policy:read", Action::"policy:list"], resource);
@id("list") permit (principal in Role::"lister", action == Action::"device:list", resource);
`;

type ExplainRequest = Parameters<(typeof Policy.Explain)["request"]["encode"]>[0];

let deploys: Deploys;

async function setUp(): Promise<void> {
  deploys = await Deploys.open();
  await deploys.world.call("owner", Policy.Put, { id: "readers", text: READERS });
}

const tearDown = () => deploys[Symbol.asyncDispose]();

const explain = (name: string, request: ExplainRequest) => deploys.world.call(name, Policy.Explain, request);
const codeOf = (name: string, request: ExplainRequest) =>
  codeOr(async () => ((await explain(name, request)).isAllowed ? "allowed" : "denied"));
const reveal = (name: string, path: string) =>
  codeOr(async () => String((await deploys.world.call(name, Vault.Get, { path })).version));
const RUN = { action: "tool:run", resource: "tool:deploy", arguments: { environment: "production" } };

describe("a question why", () => {
  beforeAll(setUp);
  afterAll(tearDown);

  it("is answered with what decided, and why it did", async () => {
    const yes = await explain("owner", {
      device: "phone",
      action: "secret:reveal",
      resource: "secret:shared/db",
    });
    expect(yes).toMatchObject({
      isAllowed: true,
      request: {
        ...{ device: idOf("phone"), deviceName: "phone", roles: ["member"], action: "secret:reveal" },
        ...{ resource: "secret:shared/db", at: deploys.world.parts.clock.now() },
      },
      decided: [{ policy: "default/member-reads-shared", effect: "permit" }],
      nearest: [],
    });
    expect(yes.decided[0]?.text).toContain('Folder::"shared"');
  });

  it("of a denial is answered with the permits that come nearest, and what they miss", async () => {
    const no = await explain("owner", { ...RUN, device: "phone" });
    expect(no).toMatchObject({ isAllowed: false, decided: [] });
    expect(no.nearest[0]).toMatchObject({ policy: "deploys/run", effect: "permit" });
    expect(no.nearest[0]?.failedCondition).toContain("approval");
    expect(no.nearest[0]?.because?.join()).not.toBe("");
    const assumed = { ...RUN, device: "phone", approvedBy: "laptop" };
    expect(await codeOf("owner", assumed)).toBe("allowed");
    expect(await codeOf("owner", { ...assumed, approvedBy: "second" })).toBe("denied");
  });

  it("sees the roles of the user that a device belongs to, the wire, the time and the role to be given", async () => {
    const text = `
      @id("hours") permit (principal in User::"ada", action == Action::"pair:open", resource)
      when { context.wire == "grpc" && context.time < datetime("2030-01-01") && context has role && context.role == "ci" };`;
    await deploys.world.call("owner", Policy.Put, { id: "hours", text });
    await deploys.world.call("owner", Users.Add, { name: "ada", roles: ["staff"] });
    await deploys.world.call("owner", Device.Assign, { device: "guest", user: "ada" });
    const fit = { device: "guest", action: "pair:open", resource: "gatehouse", wire: "grpc", role: "ci" };
    const answer = await explain("owner", fit);
    expect([answer.isAllowed, answer.request?.roles]).toEqual([true, ["visitor", "staff"]]);
    for (const change of [
      { wire: "quic" },
      { role: "owner" },
      { time: Date.UTC(2031, 0) },
      { device: "phone" },
    ]) {
      expect(await codeOf("owner", { ...fit, ...change })).toBe("denied");
    }
  });

  it("that names no action, resource, wire or role that there can be is refused", async () => {
    for (const request of [
      { action: "secret:steal", resource: "gatehouse" },
      { action: "secret:list", resource: "cupboard" },
      { action: "gatehouse:ping", resource: "gatehouse", wire: "carrier pigeon" },
      { action: "pair:open", resource: "gatehouse", role: "No Role" },
    ]) {
      expect(await codeOf("owner", request)).toBe("usage.bad-argument");
    }
  });

  it("about what there is not says so to the owner", async () => {
    expect(await codeOf("owner", { ...RUN, device: "nobody" })).toBe("device.not-found");
    expect(await codeOf("owner", { ...RUN, resource: "tool:nothing" })).toBe("tool.not-found");
    expect(await codeOf("owner", { ...RUN, arguments: { environment: "moon" } })).toBe("tool.bad-argument");
  });

  it("changes nothing, and is no request that was made", async () => {
    const recorded = () => deploys.world.parts.recorder.recorded().length;
    await explain("owner", { ...RUN, device: "phone" });
    const before = recorded();
    await explain("owner", { device: "guest", action: "secret:destroy", resource: "secret:x" });
    expect(recorded()).toBe(before);
  });
});

describe("who may ask", () => {
  beforeEach(setUp);
  afterEach(tearDown);

  const own = { action: "secret:reveal", resource: "secret:shared/db" };

  it("is who may read policies: about itself, and about others where it may list devices", async () => {
    expect(await codeOf("guest", own)).toBe("authz.denied");
    expect(await codeOf("phone", own)).toBe("allowed");
    expect(await codeOf("phone", { ...own, device: "guest" })).toBe("authz.denied");
    expect(await codeOf("phone", { ...own, device: "nobody" })).toBe("authz.denied");
    expect(await codeOf("phone", { ...RUN, approvedBy: "laptop" })).toBe("authz.denied");
    await deploys.world.call("owner", Device.Grant, { device: "phone", role: "lister" });
    expect(await codeOf("phone", { ...own, device: "guest" })).toBe("denied");
    expect(await codeOf("phone", { ...RUN, approvedBy: "laptop" })).toBe("allowed");
  });

  it("about the newest denial: of anybody only where it may list devices", async () => {
    expect(await codeOf("owner", { lastDenial: true })).toBe("usage.bad-argument");
    expect(await codeOf("phone", { lastDenial: true })).toBe("authz.denied");
    await reveal("guest", "top/db");
    await deploys.world.call("owner", Vault.Put, { path: "top/db", value: bytes("v") });
    await reveal("laptop", "top/other");
    const newest = await explain("owner", { lastDenial: true });
    expect(newest.request).toMatchObject({ deviceName: "laptop", resource: "secret:top/other" });
    const ofGuest = await explain("owner", { lastDenial: true, device: "guest" });
    expect(ofGuest.request).toMatchObject({ deviceName: "guest", resource: "secret:top/db" });
    expect(await codeOf("owner", { lastDenial: true, device: "second" })).toBe("usage.bad-argument");
  });
});

describe("a check of the policies in force", () => {
  beforeEach(setUp);
  afterEach(tearDown);

  it("tells which decided nothing that was asked lately, and how much was looked at", async () => {
    const never = async () => {
      const { findings, ...extent } = await deploys.world.call("owner", Policy.Check, {});
      const policies = findings.filter(({ kind }) => kind === "never-matched").map(({ policy }) => policy);
      return { policies, ...extent };
    };
    const before = await never();
    expect(before.policies).toContain("deploys/free");
    expect(before.policies).not.toContain("default/owner-everything");
    deploys.world.parts.clock.advance(5_000);
    expect(await deploys.run("phone", { name: "free", arguments: {} })).toBe("exited 0");
    const after = await never();
    expect(after.policies).not.toContain("deploys/free");
    expect(after.recorded).toBeGreaterThan(before.recorded);
    expect(after.recordedSince).toBe(before.recordedSince);
    expect(before.recordedSince).toBe(deploys.world.parts.clock.now() - 5_000);
  });

  it("tells what can fail, and what can never apply", async () => {
    const text = `
      @id("fails") forbid (principal, action == Action::"gatehouse:status", resource)
      when { context.time.offset(duration("106751991167d")) > datetime("2020-01-01") };
      @id("never") permit (principal, action == Action::"gatehouse:ping", resource) when { false };`;
    await deploys.world.call("owner", Policy.Put, { id: "odd", text, forceLockout: true });
    const { findings } = await deploys.world.call("owner", Policy.Check, {});
    expect(findings.map(({ kind, policy }) => `${kind} ${policy}`)).toEqual(
      expect.arrayContaining(["can-error odd/fails", "impossible odd/never"]),
    );
  });

  it("counts a call by what let it run, its approval included", async () => {
    const asked = await deploys.ask();
    await deploys.decide("laptop", asked);
    expect(await deploys.run("phone")).toBe("exited 0");
    const { findings } = await deploys.world.call("owner", Policy.Check, {});
    const idle = findings.filter(({ kind }) => kind === "never-matched").map(({ policy }) => policy);
    expect(idle).not.toContain("deploys/run");
    expect(idle).not.toContain("deploys/decide");
  });
});

describe("a shadow", () => {
  beforeEach(setUp);
  afterEach(tearDown);

  const rows = async (request: Parameters<(typeof Policy.Shadow)["request"]["encode"]>[0]) => {
    const { changed, ...rest } = await deploys.world.call("owner", Policy.Shadow, request);
    const told = changed.map(({ request: asked, count, wasAllowed, wouldBeAllowed }) =>
      [asked?.deviceName, asked?.action, asked?.resource, count, wasAllowed, wouldBeAllowed].join(" "),
    );
    return { told, ...rest };
  };

  it("shows what a change would have decided otherwise, lost rights first, and changes nothing", async () => {
    await deploys.world.call("owner", Vault.Put, { path: "shared/db", value: bytes("v") });
    for (const path of ["shared/db", "shared/db", "top/db"]) {
      await reveal("phone", path);
    }
    const text = `
      @id("closed") forbid (principal in Role::"member", action == Action::"secret:reveal", resource in Folder::"shared");
      @id("open") permit (principal in Role::"member", action == Action::"secret:reveal", resource == Secret::"top/db");`;
    const put = { id: "next", text };
    const { told, changedInAll, recorded } = await rows({ put });
    expect(told).toEqual([
      "phone secret:reveal secret:shared/db 2 true false",
      "phone secret:reveal secret:top/db 1 false true",
    ]);
    expect(changedInAll).toBe(2);
    expect(recorded).toBeGreaterThan(4);
    const { set, sources } = await deploys.world.call("owner", Policy.List, {});
    expect([set, sources.some(({ id }) => id === "next")]).toEqual([2, false]);
    expect((await deploys.world.call("phone", Vault.Get, { path: "shared/db" })).version).toBe(1);
    const { changed } = await deploys.world.call("owner", Policy.Shadow, { put });
    expect(changed[0]).toMatchObject({
      decidedBy: ["default/member-reads-shared"],
      wouldBeDecidedBy: ["next/closed"],
    });
  });

  it("shows what taking a source out, or going back to a set, would do", async () => {
    expect(await deploys.run("phone", { name: "free", arguments: {} })).toBe("exited 0");
    const lost = "phone tool:run tool:free 1 true false";
    expect((await rows({ remove: { id: "deploys" } })).told).toContain(lost);
    expect((await rows({ rollback: { set: 0 } })).told).toContain(lost);
    expect((await rows({ rollback: { set: 1 } })).told).not.toContain(lost);
  });

  it("of a call that ran with a yes sees that yes", async () => {
    await deploys.decide("laptop", await deploys.ask());
    expect(await deploys.run("phone")).toBe("exited 0");
    const text = 'forbid (principal, action == Action::"tool:run", resource) when { context has approval };';
    const { changed } = await deploys.world.call("owner", Policy.Shadow, { put: { id: "none", text } });
    const runs = changed.filter(({ request }) => request?.action === "tool:run");
    expect(runs).toMatchObject([
      { count: 1, wasAllowed: true, wouldBeAllowed: false, decidedBy: ["deploys/run"] },
    ]);
  });

  it("is refused for what would be refused, a lockout aside", async () => {
    const codeFor = (request: Parameters<typeof rows>[0]) =>
      codeOr(async () => String((await rows(request)).told));
    expect(await codeFor({ put: { id: "x", text: "permit" } })).toBe("authz.invalid-policy");
    expect(await codeFor({ remove: { id: "nothing" } })).toBe("policy.not-found");
    expect(await codeFor({ rollback: { set: 77 } })).toBe("policy.not-found");
    expect(await codeFor({ put: { id: "x", text: "", ifSet: 77 } })).toBe("policy.version-conflict");
    // That is what one wants to see.
    expect((await rows({ remove: { id: "default" } })).told.length).toBeGreaterThan(3);
  });
});
