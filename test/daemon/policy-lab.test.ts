import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { loadDefaultPolicies } from "../../src/authz/index.ts";
import { isGatehouseError } from "../../src/core/index.ts";
import { checkPolicyTexts, testPolicyTexts } from "../../src/daemon/policy-lab.ts";

const DEPLOYS = {
  id: "deploys",
  text: `
    @id("run") permit (principal in Role::"ci", action == Action::"tool:run", resource in ToolGroup::"production")
    when { context has approval && context.approval.decidedBy in Role::"release" };`,
};
const RUN = { who: "robot", may: "tool:run", tool: "deploy", groups: ["production"] };
const YES = { approval: { by: "boss" } };

const table = (...decisions: readonly object[]): string =>
  JSON.stringify({ devices: { robot: { role: "ci" }, boss: { role: "release" } }, decisions });

async function codeOf(run: () => Promise<unknown>): Promise<string> {
  try {
    await run();
    return "done";
  } catch (failure) {
    if (isGatehouseError(failure)) return failure.code;
    throw failure;
  }
}

describe("a table of decisions", () => {
  it("that the gatehouse comes with holds for the policies that it comes with", async () => {
    const text = await readFile(new URL("../../schemas/cedar/default.test.json", import.meta.url), "utf8");
    const rows = await testPolicyTexts(text, await loadDefaultPolicies());
    expect(rows.filter(({ passed }) => !passed)).toEqual([]);
    expect(rows.length).toBeGreaterThan(30);
  });

  it("is tried row by row, in words, with why each came about", async () => {
    const rows = await testPolicyTexts(
      table(
        { ...RUN, with: YES, is: "allow", by: "deploys/run" },
        { ...RUN, is: "deny", by: [], because: "nobody approved" },
        { ...RUN, is: "allow" },
        { ...RUN, with: YES, is: "allow", by: "deploys/other" },
        { ...RUN, is: "deny", because: "it is a Monday" },
      ),
      [DEPLOYS],
    );
    expect(rows.map(({ row, passed }) => `${row} ${passed}`)).toEqual([
      "decisions[0]: robot tool:run tool:deploy true",
      "decisions[1]: robot tool:run tool:deploy true",
      "decisions[2]: robot tool:run tool:deploy false",
      "decisions[3]: robot tool:run tool:deploy false",
      "decisions[4]: robot tool:run tool:deploy false",
    ]);
    expect(rows.map(({ expected, actual }) => `${expected}, got ${actual}`)).toEqual([
      "allow by deploys/run, got allow by deploys/run",
      'deny by no policy because "nobody approved", got deny by no policy',
      "allow, got deny by no policy",
      "allow by deploys/other, got allow by deploys/run",
      'deny because "it is a Monday", got deny by no policy',
    ]);
    expect(rows[2]?.why.join("\n")).toContain("deploys/run: nobody approved this call");
  });

  it.each([
    ["not JSON", "{", [DEPLOYS], "usage.bad-argument"],
    ["no table", "[]", [DEPLOYS], "usage.bad-argument"],
    ["about nobody", table({ ...RUN, who: "nobody", is: "deny" }), [DEPLOYS], "usage.bad-argument"],
    ["undecided", table({ ...RUN, is: "maybe" }), [DEPLOYS], "usage.bad-argument"],
    [
      "for policies that are none",
      table({ ...RUN, is: "deny" }),
      [{ id: "x", text: "permit" }],
      "authz.invalid-policy",
    ],
  ] as const)("that is %s is refused", async (_what, text, sources, code) => {
    expect(await codeOf(() => testPolicyTexts(text, sources))).toBe(code);
  });
});

describe("a check of texts", () => {
  it("finds nothing in what the gatehouse comes with, and what is wrong in others", async () => {
    expect(await checkPolicyTexts(await loadDefaultPolicies())).toEqual([]);
    const found = await checkPolicyTexts([
      DEPLOYS,
      { id: "bad", text: "permit (principal, action, nothing);" },
    ]);
    expect(found.map(({ kind, policy }) => `${kind} ${policy}`)).toEqual(["invalid bad"]);
  });
});
