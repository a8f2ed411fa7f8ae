import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { METHODS } from "../../src/gen/index.ts";
import { settled } from "../support/memory-wire.ts";
import { Deploys, lineOf } from "./deploys.ts";
import { idOf } from "./support.ts";

const { Approvals, Policy, Tools } = METHODS;
const RUN_TOOL = "tool:deploy";

let deploys: Deploys;

beforeEach(async () => {
  deploys = await Deploys.open();
});

afterEach(() => deploys[Symbol.asyncDispose]());

/** `who action outcome code` of what was audited since `before`, with the approval it is about. */
async function linesSince(before: number): Promise<string[]> {
  const names = new Map(["owner", "second", "phone", "laptop"].map((name) => [String(idOf(name)), name]));
  return (await deploys.world.audited()).slice(before).map(({ event }) => {
    const { principal, action, outcome, code, detail } = event;
    const about = detail["approval"] === undefined ? "" : `about ${detail["approval"].slice(0, 8)}`;
    return [names.get(principal) ?? principal, action, outcome, code, about].filter(Boolean).join(" ");
  });
}

describe("a call that policies allow with somebody's yes", () => {
  it("is asked, waits, is approved by another device, and runs once; each step is on record", async () => {
    const before = (await deploys.world.audited()).length;
    const { asked, ending } = await deploys.wait("phone", { reason: "release day" });
    expect(asked).toMatchObject({
      ...{ tool: "deploy", state: "pending", requestedBy: idOf("phone"), requestedByName: "phone" },
      ...{ requestedByRoles: ["member"], reason: "release day", decidedBy: "", decidedAt: 0 },
      arguments: {
        ...{ environment: "production", ref: "main", release: "next", replicas: "1", dry: "false" },
      },
      requestedAt: deploys.world.parts.clock.now(),
      expiresAt: deploys.world.parts.clock.now() + 600_000,
    });
    expect(deploys.runs()).toEqual([]);
    deploys.world.parts.clock.advance(5_000);
    const { id, argumentsHash } = asked;
    const yes = await deploys.world.call("laptop", Approvals.Decide, {
      ...{ id, approve: true, argumentsHash, comment: "go" },
    });
    expect(yes).toMatchObject({
      ...{ state: "approved", decidedBy: idOf("laptop"), decidedByName: "laptop", comment: "go" },
      decidedAt: deploys.world.parts.clock.now(),
      expiresAt: deploys.world.parts.clock.now() + 300_000,
    });
    expect(await ending).toBe("exited 0");
    expect(deploys.runs()).toEqual([lineOf("production")]);
    expect(await linesSince(before)).toEqual([
      `phone tool:run denied approval.required about ${id.slice(0, 8)}`,
      `laptop approval:decide done about ${id.slice(0, 8)}`,
      `phone tool:run allowed about ${id.slice(0, 8)}`,
      "phone tool:run done",
    ]);
    const events = (await deploys.world.audited()).slice(before).map(({ event }) => event);
    expect(events.map(({ resource }) => resource)).toEqual([RUN_TOOL, RUN_TOOL, RUN_TOOL, RUN_TOOL]);
    expect(events.map(({ policies }) => policies.join(" "))).toEqual([
      ...["", "deploys/decide", "deploys/run", expect.any(String)],
    ]);
    expect(events[3]?.detail).toMatchObject({ ended: "exited", exit: "0" });
    expect(new Set([0, 2, 3].map((at) => events[at]?.detail["call"])).size).toBe(1);
    // Arguments stand there as a keyed hash.
    expect(events[2]?.detail["arguments"]).toBe(`keyed ${argumentsHash}`);
    expect(await deploys.stateOf(asked)).toBe("used");
  });

  it("may also be asked now and run later, by the id of the yes or by the call alone", async () => {
    for (const by of ["id", "call"] as const) {
      const asked = await deploys.ask();
      expect(await deploys.decide("laptop", asked)).toBe("approved");
      const approval = by === "id" ? asked.id : "";
      expect(await deploys.run("phone", { approval })).toBe("exited 0");
      expect(await deploys.stateOf(asked)).toBe("used");
    }
    expect(deploys.runs()).toEqual([lineOf("production"), lineOf("production")]);
  });

  it("is asked once, however often it is made meanwhile, and one yes lets one of them run", async () => {
    const waiting = [await deploys.wait(), await deploys.wait(), await deploys.wait()];
    const [first] = waiting;
    expect(new Set(waiting.map(({ asked }) => asked.id)).size).toBe(1);
    if (first === undefined) throw new Error("nobody waits");
    await deploys.decide("laptop", first.asked);
    const endings = await Promise.all(waiting.map(({ ending }) => ending));
    expect(endings.sort()).toEqual(["approval.used", "approval.used", "exited 0"]);
    expect(deploys.runs()).toHaveLength(1);
  });

  it("is refused when it is denied, and may be asked anew", async () => {
    const { asked, ending } = await deploys.wait();
    expect(await deploys.decide("laptop", asked, false)).toBe("denied");
    expect(await ending).toBe("approval.denied");
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.denied");
    expect(await deploys.decide("laptop", asked)).toBe("approval.decided");
    expect((await deploys.ask()).id).not.toBe(asked.id);
    expect(deploys.runs()).toEqual([]);
    expect(await deploys.world.auditLines()).toContain("phone tool:run tool:deploy failed approval.denied");
  });

  it("is withdrawn by whoever asked, before the answer and after, without a right to decide", async () => {
    const { asked, ending } = await deploys.wait();
    expect(await deploys.decide("phone", asked, false)).toBe("withdrawn");
    expect(await ending).toBe("approval.denied");
    expect(await deploys.decide("laptop", asked)).toBe("approval.decided");
    const next = await deploys.ask();
    await deploys.decide("laptop", next);
    expect(await deploys.decide("phone", next, false)).toBe("withdrawn");
    expect(await deploys.run("phone", { approval: next.id })).toBe("approval.denied");
    expect(deploys.runs()).toEqual([]);
    const withdrawn = (await deploys.world.audited()).filter(
      ({ event }) => event.detail["verdict"] === "withdrawn",
    );
    expect(withdrawn.map(({ event }) => [event.principal, event.outcome])).toEqual([
      [idOf("phone"), "done"],
      [idOf("phone"), "done"],
    ]);
  });

  it("expires by the clock while it waits, and that is on record", async () => {
    const asked = await deploys.ask();
    deploys.world.parts.clock.advance(300_000);
    const { ending } = await deploys.wait();
    deploys.world.parts.clock.advance(299_999);
    await settled();
    expect(await deploys.stateOf(asked)).toBe("pending");
    deploys.world.parts.clock.advance(1);
    expect(await ending).toBe("approval.expired");
    expect(await deploys.stateOf(asked)).toBe("expired");
    expect(deploys.runs()).toEqual([]);
    await expect
      .poll(() => deploys.world.auditLines())
      .toContain(" approval:decide tool:deploy failed approval.expired");
  });

  it("ends when its time to wait is over, and a later yes is good for the next attempt", async () => {
    const { asked, ending } = await deploys.wait("phone", { waitMs: 60_000 });
    deploys.world.parts.clock.advance(60_000);
    expect(await ending).toBe("approval.required");
    await deploys.decide("laptop", asked);
    await settled();
    expect(deploys.runs()).toEqual([]);
    expect(await deploys.run("phone")).toBe("exited 0");
    expect(deploys.runs()).toHaveLength(1);
  });

  it("does not run when its caller has left before the answer", async () => {
    const abort = new AbortController();
    const { asked, ending } = await deploys.wait("phone", {}, { signal: abort.signal });
    abort.abort();
    expect(await ending).toBe("rpc.cancelled");
    await settled();
    expect(await deploys.decide("laptop", asked)).toBe("approved");
    await settled();
    expect(deploys.runs()).toEqual([]);
    expect(await deploys.stateOf(asked)).toBe("approved");
    await deploys.world.parts.audit.sync();
    expect(await deploys.world.auditLines()).toContain("phone tool:run tool:deploy failed rpc.cancelled");
  });

  it("ends while it waits when policies change, or its caller is revoked", async () => {
    const { ending } = await deploys.wait();
    await deploys.world.call("owner", Policy.Put, {
      id: "more",
      text: 'permit (principal in Role::"x", action, resource);',
    });
    expect(await ending).toBe("approval.stale");
    const again = await deploys.wait();
    await deploys.world.call("owner", METHODS.Device.Revoke, { device: "phone" });
    expect(await again.ending).toBe("device.revoked");
    expect(deploys.runs()).toEqual([]);
  });

  it("is denied at once, and nobody asked, where nobody's yes would do", async () => {
    await deploys.world.call("owner", METHODS.Device.Ungrant, { device: "laptop", role: "release" });
    expect(await deploys.run("phone")).toBe("authz.denied");
    // A device that would have to say yes to itself does not count.
    await deploys.world.call("owner", METHODS.Device.Grant, { device: "phone", role: "release" });
    expect(await deploys.run("phone")).toBe("authz.denied");
    const { approvals } = await deploys.world.call("owner", Approvals.List, { includeEnded: true });
    expect(approvals).toEqual([]);
    expect(deploys.runs()).toEqual([]);
  });
});

describe("a tool", () => {
  it("that is declared to need a yes needs one of an owner, too", async () => {
    const { Vault } = METHODS;
    await deploys.world.call("owner", Vault.Put, { path: "shared/token", value: Buffer.from("tok-3") });
    const call = { name: "secretive", arguments: {} };
    const asked = await deploys.ask("owner", call);
    expect(await deploys.decide("second", asked)).toBe("approved");
    expect(await deploys.run("owner", { ...call, approval: asked.id })).toBe("exited 0");
    expect(await deploys.run("owner", { ...call, approval: asked.id })).toBe("approval.used");
    expect(deploys.runs()).toEqual(["secretive"]);
    const uses = (await deploys.world.audited()).filter(({ event }) => event.action === "secret:use");
    expect(uses.map(({ event }) => [event.resource, event.outcome])).toEqual([
      ["secret:shared/token", "allowed"],
    ]);
  });

  it("is shown to who may list or run it, with what a call of it takes", async () => {
    const named = async (name: string) =>
      (await deploys.world.call(name, Tools.List, {})).tools.map((tool) => tool.name);
    expect(await named("owner")).toEqual(["deploy", "free", "held", "secretive"]);
    expect(await named("guest")).toEqual([]);
    const shown = await deploys.world.call("phone", Tools.Show, { name: "deploy" });
    expect(shown).toMatchObject({ needsApproval: false, groups: ["releases"], runsAs: "same-user" });
    expect(
      shown.parameters.map(({ name, type, isRequired, default: preset }) => [name, type, isRequired, preset]),
    ).toEqual([
      ["dry", "boolean", false, "false"],
      ["environment", "choice", true, ""],
      ["ref", "string", false, "main"],
      ["release", "string", false, "next"],
      ["replicas", "integer", false, "1"],
    ]);
    const unknown = (name: string) => deploys.world.call(name, Tools.Show, { name: "nothing" });
    await expect(unknown("owner")).rejects.toMatchObject({ code: "tool.not-found" });
    await expect(unknown("guest")).rejects.toMatchObject({ code: "authz.denied" });
    expect(await deploys.run("owner", { name: "nothing" })).toBe("tool.not-found");
    expect(await deploys.run("guest", { name: "nothing" })).toBe("authz.denied");
  });
});
