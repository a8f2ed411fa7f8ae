import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { METHODS } from "../../src/gen/index.ts";
import { settled } from "../support/memory-wire.ts";
import { Deploys } from "./deploys.ts";

const { Approvals, Policy, Vault } = METHODS;

let deploys: Deploys;
const advance = (ms: number): void => deploys.world.parts.clock.advance(ms);

beforeEach(async () => {
  deploys = await Deploys.open();
});

afterEach(() => deploys[Symbol.asyncDispose]());

/** How many the gatehouse put on record by itself. */
async function expiriesOf({ world }: Deploys): Promise<number> {
  const own = (await world.audited()).filter(({ event }) => event.principal === "");
  return own.filter(({ event }) => event.code === "approval.expired").length;
}

describe("an approval and its time", () => {
  it("a yes in the last millisecond counts, and one at the end does not", async () => {
    const [first, second] = [
      await deploys.ask(),
      await deploys.ask("phone", { arguments: { environment: "staging" } }),
    ];
    advance(599_999);
    expect(await deploys.decide("laptop", first)).toBe("approved");
    advance(1);
    expect(await deploys.decide("laptop", second)).toBe("approval.expired");
    await settled();
    expect(await deploys.run("phone", { approval: first.id })).toBe("exited 0");
    const late = { arguments: { environment: "staging" }, approval: second.id };
    expect(await deploys.run("phone", late)).toBe("approval.expired");
    expect(deploys.runs()).toHaveLength(1);
  });

  it("a yes that is being written down when the time comes counts, and no record says that it expired", async () => {
    let meanwhile: (() => void) | undefined;
    await using late = await Deploys.open(({ audit }) => ({
      audit: {
        append: (fields) => audit.append(fields),
        encodeEvent: (fields) => {
          if (fields.action === "approval:decide") meanwhile?.();
          return audit.encodeEvent(fields);
        },
        count: (action) => audit.count(action),
      },
    }));
    const { clock } = late.world.parts;
    const asked = await late.ask();
    clock.advance(599_999);
    meanwhile = () => clock.advance(1);
    expect(await late.decide("laptop", asked)).toBe("approved");
    // What is asked next is written down after whatever the clock has begun.
    await late.ask("phone", { arguments: { environment: "staging" } });
    expect(await expiriesOf(late)).toBe(0);
    expect(await late.run("phone", { approval: asked.id })).toBe("exited 0");
    expect(late.runs()).toHaveLength(1);
  });

  it("when it expires in the moment of the yes, the yes comes too late", async () => {
    const asked = await deploys.ask();
    advance(600_000);
    const answers = await Promise.all([deploys.decide("laptop", asked), deploys.decide("second", asked)]);
    expect(answers).toEqual(["approval.expired", "approval.expired"]);
    await expect.poll(() => expiriesOf(deploys)).toBe(1);
    expect(await deploys.stateOf(asked)).toBe("expired");
    expect(deploys.runs()).toEqual([]);
  });

  it("a yes is good for five minutes, to the millisecond", async () => {
    for (const [waitMs, expected] of [
      [299_999, "exited 0"],
      [300_000, "approval.expired"],
    ] as const) {
      const asked = await deploys.ask();
      await deploys.decide("laptop", asked);
      advance(waitMs);
      expect(await deploys.run("phone", { approval: asked.id })).toBe(expected);
      await settled();
    }
    expect(deploys.runs()).toHaveLength(1);
  });

  it("what has expired stays so when the clock goes back", async () => {
    const asked = await deploys.ask();
    await deploys.decide("laptop", asked);
    advance(300_000);
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.expired");
    deploys.world.parts.clock.stepWall(-200_000);
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.expired");
    expect(deploys.runs()).toEqual([]);
  });
});

describe("a restart of the gatehouse", () => {
  it("leaves a question that waits to be answered", async () => {
    const { asked, ending } = await deploys.wait();
    const ended = ending.catch(() => "gone");
    await deploys.restart();
    expect(await ended).not.toBe("exited 0");
    expect(await deploys.stateOf(asked)).toBe("pending");
    expect(await deploys.decide("laptop", asked)).toBe("approved");
    expect(await deploys.run("phone", { approval: asked.id })).toBe("exited 0");
  });

  it("leaves a yes good for one call", async () => {
    const asked = await deploys.ask();
    await deploys.decide("laptop", asked);
    await deploys.restart();
    expect(await deploys.run("phone", { arguments: { environment: "staging" }, approval: asked.id })).toBe(
      "approval.mismatch",
    );
    expect(await deploys.run("phone", { approval: asked.id })).toBe("exited 0");
    expect(await deploys.run("phone", { approval: asked.id })).toBe("approval.used");
    expect(deploys.runs()).toHaveLength(1);
  });

  it("leaves a used, a denied and a withdrawn one what they are", async () => {
    const call = (environment: string) => ({ arguments: { environment } });
    const used = await deploys.ask();
    await deploys.decide("laptop", used);
    expect(await deploys.run("phone")).toBe("exited 0");
    const denied = await deploys.ask("phone", call("staging"));
    await deploys.decide("laptop", denied, false);
    const withdrawn = await deploys.ask();
    await deploys.decide("phone", withdrawn, false);
    await deploys.restart();
    expect(await deploys.run("phone", { approval: used.id })).toBe("approval.used");
    expect(await deploys.run("phone", { ...call("staging"), approval: denied.id })).toBe("approval.denied");
    expect(await deploys.run("phone", { approval: withdrawn.id })).toBe("approval.denied");
    for (const asked of [used, denied, withdrawn]) {
      expect(await deploys.decide("laptop", asked)).toBe("approval.decided");
    }
    expect(deploys.runs()).toHaveLength(1);
  });

  it("does not stop the time: what ran out meanwhile is over, and written down", async () => {
    const [asked, approved] = [
      await deploys.ask(),
      await deploys.ask("phone", { arguments: { environment: "staging" } }),
    ];
    await deploys.decide("laptop", approved);
    await deploys.restart({ pauseMs: 600_000 });
    expect(await deploys.decide("laptop", asked)).toBe("approval.expired");
    const staging = { arguments: { environment: "staging" }, approval: approved.id };
    expect(await deploys.run("phone", staging)).toBe("approval.expired");
    advance(0);
    await expect.poll(() => expiriesOf(deploys)).toBe(2);
    expect(deploys.runs()).toEqual([]);
  });

  it("keeps request ids: a call that was begun before is not begun again", async () => {
    const requestId = new Uint8Array(16).fill(5);
    const call = { name: "free", arguments: {} };
    expect(await deploys.run("phone", call, { requestId })).toBe("exited 0");
    await deploys.restart();
    expect(await deploys.run("phone", call, { requestId })).toBe("rpc.outcome-unknown");
    const other = { ...call, arguments: { ref: "x" } };
    expect(await deploys.run("phone", other, { requestId })).toBe("rpc.request-mismatch");
    expect(deploys.runs()).toHaveLength(1);
  });

  it("with another declaration of the tool makes the yes one for another call", async () => {
    const call = { name: "secretive", arguments: {} };
    await deploys.world.call("owner", Vault.Put, { path: "shared/token", value: Buffer.from("tok-3") });
    const asked = await deploys.ask("owner", call);
    await deploys.decide("second", asked);
    const tool = { command: ["/bin/echo", "other"], allow_same_user: true, approval: true };
    deploys.world = await deploys.world.restart({ tools: { secretive: tool } });
    expect(await deploys.run("owner", { ...call, approval: asked.id })).toBe("approval.mismatch");
    // A tool that is gone has an approval still, and nobody may run it.
    deploys.world = await deploys.world.restart({ tools: {} });
    expect(await deploys.run("owner", { ...call, approval: asked.id })).toBe("tool.not-found");
    expect((await deploys.world.call("owner", Approvals.List, {})).approvals).toHaveLength(1);
  });

  it("keeps the policies in force, their number and their history", async () => {
    const before = await deploys.world.call("owner", Policy.History, {});
    await deploys.restart();
    expect(await deploys.world.call("owner", Policy.History, {})).toEqual(before);
    const { set, sources } = await deploys.world.call("owner", Policy.List, {});
    expect([set, sources.map(({ id }) => id)]).toEqual([1, ["default", "deploys"]]);
  });
});
