import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { applyPatch, isGatehouseError, type JsonValue } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { settled } from "../support/memory-wire.ts";
import { Deploys } from "./deploys.ts";
import { idOf } from "./support.ts";

const { Approvals, Device, Policy } = METHODS;

let deploys: Deploys;

beforeEach(async () => {
  deploys = await Deploys.open();
});

afterEach(() => deploys[Symbol.asyncDispose]());

/** An approver's app: it keeps the document by what it is sent. */
class Watcher {
  document: JsonValue | undefined;
  /** The operations of each update, or that it was a whole document. */
  readonly updates: string[] = [];
  ending: string | undefined;
  readonly #revisions: number[] = [];
  readonly #stream;
  readonly #followed: Promise<void>;
  readonly begun: Promise<void>;
  #begin: () => void = () => undefined;

  constructor(name: string) {
    this.#stream = deploys.world.stream(name, Approvals.Watch, {});
    this.begun = new Promise((resolve) => {
      this.#begin = resolve;
    });
    this.#followed = this.#follow();
  }

  get revisions(): readonly number[] {
    return this.#revisions;
  }

  /** `tool state` of what it shows. */
  get shown(): readonly string[] {
    const { approvals } = this.document as { approvals: Record<string, { tool: string; state: string }> };
    return Object.values(approvals).map(({ tool, state }) => `${tool} ${state}`);
  }

  async leave(): Promise<void> {
    await this.#stream.return?.();
    await this.#followed;
  }

  async #follow(): Promise<void> {
    try {
      for await (const { revision, document, patch } of this.#stream) {
        this.#revisions.push(revision);
        if (document !== "") {
          this.document = JSON.parse(document);
          this.updates.push("document");
          this.#begin();
          continue;
        }
        const operations: { readonly op: string; readonly path: string }[] = JSON.parse(patch);
        this.document = applyPatch(this.document ?? null, operations);
        this.updates.push(operations.map(({ op, path }) => `${op} ${path}`).join(", "));
      }
      this.ending = "closed";
    } catch (failure) {
      if (!isGatehouseError(failure)) throw failure;
      this.ending = failure.code;
    }
  }
}

async function watching(name: string): Promise<Watcher> {
  const watcher = new Watcher(name);
  await watcher.begun;
  return watcher;
}

describe("a watcher of approvals", () => {
  it("gets the document, then each change as a patch that leads to the next one", async () => {
    const watcher = await watching("laptop");
    expect(watcher.document).toEqual({ version: 1, approvals: {}, more: 0 });
    const first = await deploys.ask("phone", { reason: "why not" });
    await settled();
    const entry = {
      ...{ tool: "deploy", argumentsHash: first.argumentsHash, purpose: "why not", state: "pending" },
      ...{ arguments: first.arguments, requestedBy: idOf("phone"), requestedByName: "phone" },
      ...{ requestedAt: first.requestedAt, expiresAt: first.expiresAt },
    };
    expect(watcher.document).toEqual({ version: 1, approvals: { [first.id]: entry }, more: 0 });
    deploys.world.parts.clock.advance(1_000);
    const second = await deploys.ask("phone", { arguments: { environment: "staging" } });
    await deploys.decide("laptop", first);
    await settled();
    const decidedAt = first.requestedAt + 1_000;
    const approved = { ...entry, state: "approved", decidedBy: idOf("laptop"), decidedAt };
    expect(watcher.document).toMatchObject({
      approvals: {
        [first.id]: { ...approved, expiresAt: decidedAt + 300_000 },
        [second.id]: { tool: "deploy" },
      },
    });
    await deploys.decide("laptop", second, false);
    expect(await deploys.run("phone")).toBe("exited 0");
    await settled();
    expect(watcher.document).toEqual({ version: 1, approvals: {}, more: 0 });
    expect(watcher.revisions).toEqual(watcher.revisions.map((_revision, index) => index + 1));
    const [at, other] = [`/approvals/${first.id}`, `/approvals/${second.id}`];
    expect(watcher.updates).toEqual([
      ...["document", `add ${at}`, `add ${other}`],
      expect.stringContaining(`replace ${at}/state`),
      ...[`remove ${other}`, `remove ${at}`],
    ]);
    // Only what changed of it was sent.
    expect(watcher.updates[3]).not.toContain("arguments");
    await watcher.leave();
  });

  it("who comes later gets the same document whole", async () => {
    const early = await watching("laptop");
    await deploys.decide("laptop", await deploys.ask());
    await deploys.ask("phone", { arguments: { environment: "staging" } });
    await settled();
    const late = await watching("laptop");
    expect(late.document).toEqual(early.document);
    expect(late.shown.toSorted()).toEqual(["deploy approved", "deploy pending"]);
    for (const watcher of [early, late]) await watcher.leave();
  });

  it("sees what expired go, by the clock alone", async () => {
    const watcher = await watching("laptop");
    await deploys.ask();
    await settled();
    expect(watcher.shown).toEqual(["deploy pending"]);
    // Its own time is shorter.
    await watcher.leave();
    deploys.world.parts.clock.advance(590_000);
    const late = await watching("laptop");
    expect(late.shown).toEqual(["deploy pending"]);
    deploys.world.parts.clock.advance(10_000);
    await settled();
    expect(late.shown).toEqual([]);
    await late.leave();
  });

  it("sees its own questions, and others' only where it may decide or list them", async () => {
    await deploys.ask("phone");
    const watchers = await Promise.all(["phone", "laptop", "owner", "guest"].map(watching));
    expect(watchers.map(({ shown }) => shown)).toEqual([
      ...[["deploy pending"], ["deploy pending"], ["deploy pending"], []],
    ]);
    for (const watcher of watchers) await watcher.leave();
    const listed = async (name: string) => (await deploys.world.call(name, Approvals.List, {})).approvals;
    expect(await listed("guest")).toEqual([]);
    expect(await listed("laptop")).toMatchObject([{ tool: "deploy", requestedByName: "phone" }]);
  });

  it("that loses the role by which it saw them sees none that come after, nor those that were there", async () => {
    await deploys.ask("phone");
    const watcher = await watching("laptop");
    expect(watcher.shown).toEqual(["deploy pending"]);
    await deploys.world.call("owner", Device.Grant, { device: "second", role: "release" });
    await deploys.world.call("owner", Device.Ungrant, { device: "laptop", role: "release" });
    await settled();
    expect(watcher.shown).toEqual([]);
    await deploys.ask("phone", { arguments: { environment: "staging" } });
    await settled();
    expect(watcher.shown).toEqual([]);
    await deploys.world.call("owner", Device.Grant, { device: "laptop", role: "release" });
    await settled();
    expect(watcher.shown).toEqual(["deploy pending", "deploy pending"]);
    await watcher.leave();
  });

  it("loses sight of them when policies change, and all when it is revoked", async () => {
    await deploys.ask("phone");
    const watcher = await watching("laptop");
    const text =
      'forbid (principal in Role::"release", action in [Action::"approval:list", Action::"approval:decide"], resource is Tool);';
    await deploys.world.call("owner", Policy.Put, { id: "hidden", text });
    await settled();
    expect(watcher.shown).toEqual([]);
    await deploys.world.call("owner", Device.Revoke, { device: "laptop" });
    await settled();
    expect(watcher.ending).toBe("device.revoked");
  });

  it("never sees more than 16 of one device: the next is not asked before one is over", async () => {
    const call = (index: number) => ({ arguments: { environment: "production", ref: `r${index}` } });
    const asked = [];
    for (let index = 0; index < 16; index += 1) asked.push(await deploys.ask("phone", call(index)));
    const watcher = await watching("laptop");
    expect(watcher.shown).toHaveLength(16);
    expect(await deploys.run("phone", call(16))).toBe("approval.too-many");
    // What was asked already is no new question.
    expect((await deploys.ask("phone", call(3))).id).toBe(asked[3]?.id);
    const [first] = asked;
    if (first === undefined) throw new Error("nothing was asked");
    await deploys.decide("phone", first, false);
    await deploys.ask("phone", call(16));
    await settled();
    expect(watcher.shown).toHaveLength(16);
    await watcher.leave();
  });
});
