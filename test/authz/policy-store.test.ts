import { describe, expect, it } from "vitest";
import { type PolicyPlan, type PolicySource, PolicyStore } from "../../src/authz/index.ts";
import { isGatehouseError, LIMITS } from "../../src/core/index.ts";

const BUILT_IN: PolicySource = { id: "default", text: "permit (principal, action, resource);" };
const NEXT_BUILT_IN: PolicySource = { id: "default", text: "forbid (principal, action, resource);" };
const text = (id: string, note = ""): PolicySource => ({ id, text: `// ${id} ${note}` });

/** `code: message` of what `run` throws. */
function failureOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isGatehouseError(error)) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "no error";
}

class Records {
  readonly records = new Map<string, Uint8Array>();
  store: PolicyStore;
  #at = 0;

  constructor(builtIn: readonly PolicySource[] = [BUILT_IN]) {
    this.store = new PolicyStore(this, builtIn);
  }

  get(key: string): Uint8Array | undefined {
    return this.records.get(key);
  }

  list(prefix: string) {
    return [...this.records]
      .filter(([key]) => key.startsWith(prefix))
      .map(([key, body]) => ({ key, body }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  get author() {
    this.#at += 1;
    return { at: this.#at, by: "owner" };
  }

  apply({ changes, result }: PolicyPlan): number {
    for (const { key, body } of changes) {
      if (body === undefined) this.records.delete(key);
      else this.records.set(key, body);
    }
    return result.set;
  }

  put(source: PolicySource): number {
    return this.apply(this.store.planPut(source, this.author));
  }

  rollback(set: number): number {
    return this.apply(this.store.planRollback(set, this.author));
  }

  /** As the next release would see it. */
  upgraded(): PolicyStore {
    return new PolicyStore(this, [NEXT_BUILT_IN]);
  }

  versions(set?: number): readonly string[] {
    return this.store.set(set).sources.map(({ id, version }) => `${id} ${version}`);
  }
}

describe("a store of policies", () => {
  it("has what the gatehouse comes with, and its next release's, until somebody changes it", () => {
    const records = new Records();
    expect(records.store.current).toBe(0);
    const facts = { ...BUILT_IN, version: 0, at: 0, by: "" };
    expect(records.store.set()).toEqual({ number: 0, sources: [facts] });
    expect(records.store.history(20)).toEqual([]);
    expect(records.upgraded().set().sources).toMatchObject([NEXT_BUILT_IN]);
    records.put(text("site"));
    expect(records.upgraded().set().sources).toMatchObject([BUILT_IN, text("site")]);
    // Set 0 is always the release's own.
    expect(records.upgraded().set(0).sources).toMatchObject([NEXT_BUILT_IN]);
    records.rollback(0);
    expect(records.upgraded().set().sources).toMatchObject([NEXT_BUILT_IN]);
    expect(records.upgraded().set(1).sources).toMatchObject([BUILT_IN, text("site")]);
  });

  it("numbers sets without a gap, and each source's versions by themselves", () => {
    const records = new Records();
    const one = text("a", "1");
    expect([records.put(one), records.put(text("b")), records.put(text("a", "2"))]).toEqual([1, 2, 3]);
    expect(records.versions()).toEqual(["default 1", "b 1", "a 2"]);
    expect(records.versions(1)).toEqual(["default 1", "a 1"]);
    expect(records.rollback(1)).toBe(4);
    expect(records.versions()).toEqual(["default 1", "a 1"]);
    expect(records.put(text("a", "3"))).toBe(5);
    expect(records.versions()).toEqual(["default 1", "a 3"]);
    expect(records.store.source("a")).toEqual({ ...text("a", "3"), version: 3, at: 5, by: "owner" });
    expect(records.store.set(1).sources).toMatchObject([BUILT_IN, one]);
  });

  it("says of each change what it was, who made it and when, and what differs", () => {
    const records = new Records();
    records.put(text("a"));
    records.put(text("b"));
    records.apply(records.store.planRemove("a", records.author));
    records.rollback(1);
    records.apply(records.store.planRollback(0, records.author, "rescue"));
    const by = "owner";
    expect(records.store.history(20)).toEqual([
      { number: 5, at: 5, by, what: "rescue", changed: ["a"], from: 0 },
      { number: 4, at: 4, by, what: "rollback", changed: ["a", "b"], from: 1 },
      { number: 3, at: 3, by, what: "rm", changed: ["a"], from: 0 },
      { number: 2, at: 2, by, what: "put", changed: ["b"], from: 0 },
      { number: 1, at: 1, by, what: "put", changed: ["a"], from: 0 },
    ]);
    expect(records.store.history(2).map(({ number }) => number)).toEqual([5, 4]);
    expect(records.store.history(200)).toHaveLength(5);
  });

  it("plans what would be in force, and changes nothing by that", () => {
    const records = new Records();
    const plan = records.store.planPut(text("a"), records.author);
    expect(plan).toMatchObject({ result: { set: 1, changed: ["a"] }, sources: [BUILT_IN, text("a")] });
    expect(Object.keys(plan.sources[1] ?? {})).toEqual(["id", "text"]);
    expect(records.store.current).toBe(0);
    expect(records.records.size).toBe(0);
    records.apply(plan);
    const undone = records.store.planRollback(0, records.author);
    expect(undone).toMatchObject({ result: { set: 2, changed: ["a"] }, sources: [BUILT_IN] });
  });

  it("keeps links as they are", () => {
    const records = new Records();
    const principal = { type: "Role", id: 'ci"\n' };
    const link: PolicySource = { id: "link", template: "a/t", principal };
    const whole: PolicySource = { ...link, id: "whole", resource: { type: "Tool", id: "deploy" } };
    records.put(link);
    records.put(whole);
    expect(records.store.source("link")).toEqual({ ...link, version: 1, at: 1, by: "owner" });
    expect(records.store.source("whole")).toEqual({ ...whole, version: 1, at: 2, by: "owner" });
    records.put({ id: "link", text: "" });
    expect(records.store.source("link")).toMatchObject({ text: "", version: 2 });
    expect(records.rollback(2)).toBe(4);
    expect(records.store.history(1)[0]?.changed).toEqual(["link"]);
  });

  it("refuses a change by who saw another set, a source that is not there, and one too long", () => {
    const records = new Records();
    records.put(text("a"));
    const seen = (ifSet: number) => ({ at: 9, by: "owner", ifSet });
    const conflict = "policy.version-conflict: set 1 is in force, not 0";
    expect(failureOf(() => records.store.planPut(text("a"), seen(0)))).toContain(conflict);
    expect(failureOf(() => records.store.planRemove("a", seen(0)))).toContain(conflict);
    expect(failureOf(() => records.store.planRollback(0, seen(0)))).toContain(conflict);
    expect(records.store.planPut(text("a"), seen(1)).result.set).toBe(2);
    for (const ask of [
      () => records.store.planRemove("b", seen(1)),
      () => records.store.source("b"),
      () => records.store.set(2),
      () => records.store.planRollback(7, seen(1)),
    ]) {
      expect(failureOf(ask)).toContain("policy.not-found");
    }
    const long = (sizeBytes: number) => ({ id: "long", text: "é".repeat(sizeBytes / 2) });
    expect(records.store.planPut(long(LIMITS.policySourceBytes), seen(1)).result.set).toBe(2);
    expect(failureOf(() => records.store.planPut(long(LIMITS.policySourceBytes + 2), seen(1)))).toContain(
      "usage.bad-argument: a policy source has at most 65536 bytes",
    );
  });

  it("keeps a hundred sets, with their sources and no others", () => {
    const records = new Records();
    for (let index = 1; index <= 105; index += 1)
      records.put(text(index % 2 === 0 ? "even" : "odd", `${index}`));
    const keys = [...records.records.keys()];
    expect(keys.filter((key) => key.startsWith("set/"))).toHaveLength(100);
    expect(failureOf(() => records.store.set(5))).toContain("policy.not-found");
    for (let set = 6; set <= 105; set += 1) expect(records.store.set(set).sources).toHaveLength(3);
    const used = new Set(Array.from({ length: 100 }, (_, index) => records.versions(index + 6)).flat());
    expect(keys.filter((key) => key.startsWith("source/"))).toHaveLength(used.size);
    // Going back to the oldest drops it, and keeps what it had.
    const [oldest] = [records.store.set(6).sources];
    expect(records.rollback(6)).toBe(106);
    expect(records.store.set().sources).toEqual(oldest);
    expect(failureOf(() => records.store.set(6))).toContain("policy.not-found");
  });

  it("says that the vault is damaged when a record is missing or is none", () => {
    const records = new Records();
    records.put(text("a"));
    const [source] = [...records.records.keys()].filter((key) => key.startsWith("source/a/"));
    const body = records.records.get(source ?? "");
    records.records.delete(source ?? "");
    expect(failureOf(() => records.store.set())).toContain("vault.damaged");
    expect(records.store.set(0).sources).toHaveLength(1);
    if (body !== undefined) records.records.set(source ?? "", body);
    const [set] = [...records.records.keys()].filter((key) => key.startsWith("set/"));
    records.records.set(set ?? "", new Uint8Array());
    expect(failureOf(() => records.store.set())).toContain("vault.damaged");
  });
});
