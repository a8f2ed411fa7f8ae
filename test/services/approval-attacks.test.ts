import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { METHODS } from "../../src/gen/index.ts";
import { settled } from "../support/memory-wire.ts";
import { codeOr, Deploys, lineOf, POLICY } from "./deploys.ts";
import { Gate, gatedSecrets } from "./gate.ts";
import { bytes } from "./support.ts";

const { Approvals, Device, Policy, Vault } = METHODS;
const STAGING = { arguments: { environment: "staging" } };
const id16 = (fill: number): Uint8Array => new Uint8Array(16).fill(fill);

let deploys: Deploys;

async function approved(name = "phone", request = {}) {
  const asked = await deploys.ask(name, request);
  expect(await deploys.decide("laptop", asked)).toBe("approved");
  return asked;
}

beforeEach(async () => {
  deploys = await Deploys.open();
});

afterEach(() => deploys[Symbol.asyncDispose]());

describe("a yes", () => {
  it("covers no other arguments, and the call that it was for still runs", async () => {
    const { id } = await approved();
    for (const edited of [
      STAGING,
      ...[{ ref: "evil" }, { release: "x" }, { replicas: "2" }, { dry: "true" }].map((value) => ({
        arguments: { environment: "production", ...value },
      })),
      { name: "free", arguments: {} },
    ]) {
      expect(await deploys.run("phone", { ...edited, approval: id })).toBe("approval.mismatch");
    }
    expect(deploys.runs()).toEqual([]);
    // The same values written otherwise are the same call.
    const spelt = { environment: "production", replicas: "+01", ref: "main" };
    expect(await deploys.run("phone", { arguments: spelt, approval: id })).toBe("exited 0");
    expect(deploys.runs()).toEqual([lineOf("production")]);
  });

  it("is of no use to another device, which is told the same as of one that there is not", async () => {
    const { id } = await approved();
    const refused = async (name: string, approval: string) =>
      await deploys
        .stream(name, { approval })
        .next()
        .catch((failure: unknown) => failure);
    await deploys.world.call("owner", Device.Grant, { device: "guest", role: "member" });
    for (const name of ["laptop", "guest", "owner"]) {
      const answer = await refused(name, id);
      expect(answer).toMatchObject({ code: "approval.not-found" });
      expect(answer).toEqual(await refused(name, "a".repeat(26)));
      expect(answer).toEqual(await refused(name, id.slice(0, 8)));
    }
    expect(await deploys.run("phone", { approval: id.slice(0, 7) })).toBe("approval.not-found");
    expect(deploys.runs()).toEqual([]);
    expect(await deploys.stateOf({ id })).toBe("approved");
  });

  it("is used once: again, and by many at once", async () => {
    const { id } = await approved();
    const endings = await Promise.all([1, 2, 3].map(() => deploys.run("phone", { approval: id })));
    expect(endings.sort()).toEqual(["approval.used", "approval.used", "exited 0"]);
    expect(await deploys.run("phone", { approval: id })).toBe("approval.used");
    expect(deploys.runs()).toHaveLength(1);
    // Without the id, it is a new question.
    expect(await deploys.run("phone")).toBe("approval.required");
    expect(deploys.runs()).toHaveLength(1);
  });

  it("is not used up by a call that could not begin", async () => {
    const held = { name: "held", arguments: {} };
    const { id } = await approved("phone", held);
    const other = deploys.stream("owner", held);
    expect((await other.next()).value?.started).toBeDefined();
    expect(await deploys.run("phone", { ...held, approval: id })).toBe("tool.busy");
    await other.return?.();
    await expect
      .poll(() => deploys.stream("phone", { ...held, approval: id }).next())
      .toMatchObject({
        value: { started: { callId: expect.any(String) } },
      });
    expect(await deploys.run("phone", { ...held, approval: id })).toBe("approval.used");
  });

  it("is void when policies have changed since, also when they were changed back", async () => {
    const asked = await approved();
    await deploys.world.call("owner", Policy.Put, { id: "deploys", text: `${POLICY}// more` });
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.stale");
    await deploys.world.call("owner", Policy.Put, { id: "deploys", text: POLICY });
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.stale");
    // And without its id it is asked anew.
    expect((await deploys.ask()).id).not.toBe(asked.id);
    expect(deploys.runs()).toEqual([]);
  });

  it("given after policies have changed is void as well", async () => {
    const asked = await deploys.ask();
    await deploys.world.call("owner", Policy.Put, { id: "deploys", text: `${POLICY}// more` });
    await deploys.decide("laptop", asked);
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.stale");
    expect(deploys.runs()).toEqual([]);
  });

  it("falls with its giver: revoked, or without the role that let it decide", async () => {
    const first = await approved();
    await deploys.world.call("owner", Device.Ungrant, { device: "laptop", role: "release" });
    expect(await deploys.run("phone", { approval: first.id })).toBe("approval.stale");
    expect(await deploys.run("phone")).toBe("approval.stale");
    await deploys.world.call("owner", Device.Grant, { device: "laptop", role: "release" });
    await deploys.decide("phone", first, false);
    const second = await approved();
    await deploys.world.call("owner", Device.Revoke, { device: "laptop" });
    expect(await deploys.run("phone", { approval: second.id })).toBe("approval.stale");
    expect(deploys.runs()).toEqual([]);
  });

  it("falls with its giver while the call takes its secrets, too", async () => {
    const gate = new Gate();
    await using slow = await Deploys.open(gatedSecrets(gate, "get"));
    await slow.world.call("owner", Vault.Put, { path: "shared/token", value: bytes("tok-3") });
    const call = { name: "secretive", arguments: {} };
    const asked = await slow.ask("owner", call);
    expect(await slow.decide("second", asked)).toBe("approved");
    const ending = slow.run("owner", { ...call, approval: asked.id });
    await gate.reached;
    await slow.world.call("owner", Device.Revoke, { device: "second" });
    gate.open();
    expect(await ending).toBe("approval.stale");
    expect(slow.runs()).toEqual([]);
    expect(await slow.stateOf(asked)).toBe("approved");
  });

  it("of somebody whom the policy does not take lets nothing run", async () => {
    const asked = await deploys.ask();
    expect(await deploys.decide("second", asked)).toBe("approved");
    expect(await deploys.run("phone", { approval: asked.id })).toBe("authz.denied");
    expect(deploys.runs()).toEqual([]);
    expect(await deploys.stateOf(asked)).toBe("approved");
  });

  it("does not help who has lost the right to run the tool", async () => {
    const { id } = await approved();
    await deploys.world.call("owner", Device.Ungrant, { device: "phone", role: "member" });
    expect(await deploys.run("phone", { approval: id })).toBe("authz.denied");
    await deploys.world.call("owner", Device.Revoke, { device: "phone" });
    expect(await deploys.run("phone", { approval: id })).toBe("device.revoked");
    expect(deploys.runs()).toEqual([]);
  });
});

describe("whoever decides", () => {
  it("is not who asked, whatever rights it has", async () => {
    await deploys.world.call("owner", Device.Grant, { device: "phone", role: "release" });
    const asked = await deploys.ask("phone");
    expect(await deploys.decide("phone", asked)).toBe("approval.self");
    expect(await deploys.stateOf(asked)).toBe("pending");
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.required");
    expect(deploys.runs()).toEqual([]);
    expect(await deploys.world.auditLines()).toContain(
      "phone approval:decide tool:deploy failed approval.self",
    );
  });

  it("has approval:decide for that tool", async () => {
    const asked = await deploys.ask("phone");
    const { argumentsHash } = asked;
    await deploys.world.call("owner", Device.Grant, { device: "guest", role: "member" });
    for (const name of ["phone", "guest"]) {
      expect(await deploys.decide(name, asked)).toBe("authz.denied");
    }
    expect(await deploys.decide("guest", asked, false)).toBe("authz.denied");
    expect(await deploys.decide("guest", { id: "a".repeat(26), argumentsHash })).toBe("authz.denied");
    expect(await deploys.decide("owner", { id: "a".repeat(26), argumentsHash })).toBe("approval.not-found");
    expect(await deploys.stateOf(asked)).toBe("pending");
    const show = codeOr(async () => (await deploys.world.call("guest", Approvals.Show, { id: asked.id })).id);
    expect(await show).toBe("authz.denied");
  });

  it("says what it was shown: a yes for other arguments is none", async () => {
    const asked = await deploys.ask("phone");
    const other = await deploys.ask("phone", STAGING);
    for (const argumentsHash of ["", other.argumentsHash, asked.argumentsHash.toUpperCase()]) {
      expect(await deploys.decide("laptop", { id: asked.id, argumentsHash })).toBe("approval.mismatch");
    }
    expect(await deploys.stateOf(asked)).toBe("pending");
  });

  it("gets one answer for a request that comes again, and decides once", async () => {
    const { id, argumentsHash } = await deploys.ask("phone");
    const yes = { id, approve: true, argumentsHash };
    const decide = (request: object) =>
      codeOr(async () => {
        const options = { requestId: id16(7) };
        return (await deploys.world.call("laptop", Approvals.Decide, { ...yes, ...request }, options)).state;
      });
    expect([await decide({}), await decide({})]).toEqual(["approved", "approved"]);
    expect(await decide({ comment: "other" })).toBe("rpc.request-mismatch");
    const done = (await deploys.world.auditLines()).filter((line) => line.endsWith("tool:deploy done"));
    expect(done.filter((line) => line.startsWith("laptop approval:decide"))).toHaveLength(1);
    expect(await deploys.decide("second", { id, argumentsHash })).toBe("approval.decided");
  });
});

describe("a request that comes again under its id", () => {
  const repeat = (request: object = {}) => deploys.run("phone", request, { requestId: id16(9) });

  it("does not run again, and its outcome is unknown", async () => {
    const call = { name: "free", arguments: {} };
    expect(await repeat(call)).toBe("exited 0");
    expect(await repeat(call)).toBe("rpc.outcome-unknown");
    expect(deploys.runs()).toEqual(["free|main"]);
    expect(await repeat({ ...call, arguments: { ref: "other" } })).toBe("rpc.request-mismatch");
    expect(deploys.runs()).toHaveLength(1);
    // It is that device's own: another one may use the same.
    expect(await deploys.run("laptop", call, { requestId: id16(9) })).toBe("exited 0");
  });

  it("does not run again side by side either", async () => {
    const call = { name: "free", arguments: {} };
    const endings = await Promise.all([repeat(call), repeat(call), repeat(call)]);
    expect(endings.sort()).toEqual(["exited 0", "rpc.outcome-unknown", "rpc.outcome-unknown"]);
    expect(deploys.runs()).toHaveLength(1);
  });

  it("waits for the same yes while the first still waits, and runs once", async () => {
    const first = await deploys.wait("phone", {}, { requestId: id16(9) });
    const second = await deploys.wait("phone", {}, { requestId: id16(9) });
    expect(second.asked.id).toBe(first.asked.id);
    await deploys.decide("laptop", first.asked);
    const endings = await Promise.all([first.ending, second.ending]);
    expect(endings.filter((ending) => ending === "exited 0")).toHaveLength(1);
    expect(deploys.runs()).toHaveLength(1);
    await settled();
    expect(await repeat({ waitMs: 600_000 })).toBe("rpc.outcome-unknown");
  });

  it("with a yes that was used is the call that was made", async () => {
    const { id } = await approved();
    expect(await repeat({ approval: id })).toBe("exited 0");
    expect(await repeat({ approval: id })).toBe("rpc.outcome-unknown");
    expect(await repeat({ ...STAGING, approval: id })).toBe("rpc.request-mismatch");
    expect(deploys.runs()).toHaveLength(1);
  });
});
