import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  Authorizer,
  checkPolicies,
  loadDefaultSchema,
  type PolicyFinding,
  type PolicySource,
} from "../../src/authz/index.ts";
import { runs, times } from "../support/effort.ts";
import { request } from "./fixture.ts";

const PERMIT_ALL = "permit (principal, action, resource);";
type Tie = fc.LetrecTypedTie<Readonly<Record<"comparison" | "long" | "duration" | "datetime", string>>>;

/** Of numbers, durations and datetimes, some of them at the edge of what there is. */
const { comparison } = fc.letrec((tie: Tie) => {
  const joined = (...parts: readonly (string | fc.Arbitrary<string>)[]): fc.Arbitrary<string> =>
    fc
      .tuple(...parts.map((part) => (typeof part === "string" ? fc.constant(part) : part)))
      .map((texts) => texts.join(""));
  const [long, duration, datetime] = [tie("long"), tie("duration"), tie("datetime")];
  return {
    comparison: fc.oneof(
      joined(long, " < ", long),
      joined(duration, " <= ", duration),
      joined(datetime, " > ", datetime),
    ),
    long: fc.oneof(
      { maxDepth: 3, depthSize: "medium" },
      fc.constantFrom("0", "1", "-7", "86400", "3037000500", "9223372036854775807", "-9223372036854775808"),
      joined("(", long, " + ", long, ")"),
      joined("(", long, " - ", long, ")"),
      joined("(", long, " * ", long, ")"),
      joined("-(", long, ")"),
      joined(duration, ".toMilliseconds()"),
      joined(duration, ".toHours()"),
      joined("(if context.isEarlyData then ", long, " else ", long, ")"),
    ),
    duration: fc.oneof(
      { maxDepth: 3, depthSize: "medium" },
      fc
        .constantFrom("1h", "-5h30m", "106751991167d", "-9223372036854775808ms")
        .map((text) => `duration("${text}")`),
      joined(datetime, ".durationSince(", datetime, ")"),
      joined(datetime, ".toTime()"),
    ),
    datetime: fc.oneof(
      { maxDepth: 3, depthSize: "medium" },
      fc.constantFrom("context.time", 'datetime("1970-01-01")', 'datetime("9999-12-31T23:59:59.999-2359")'),
      joined(datetime, ".offset(", duration, ")"),
      joined(datetime, ".toDate()"),
    ),
  };
});

const RUN = { action: "tool:run", resource: { kind: "tool", name: "deploy" } } as const;

describe("a check of policies", { timeout: times({ short: 60_000, long: 900_000 }) }, () => {
  let schema: string;

  beforeAll(async () => {
    schema = await loadDefaultSchema();
  });

  const check = (...sources: readonly PolicySource[]) => checkPolicies({ schema, sources });
  const running = (condition: string) =>
    `permit (principal, action == Action::"tool:run", resource) when { ${condition} };`;
  const about = (findings: readonly PolicyFinding[]) => findings.map(({ kind, policy }) => [kind, policy]);

  it("finds all that is invalid, in every source, and not only the first", async () => {
    const findings = await check(
      { id: "torn", text: "permit (principal, action" },
      { id: "deep", text: running(`${"(".repeat(20_000)}true${")".repeat(20_000)}`) },
      { id: "nested", text: running(`${"true || ".repeat(150)}true`) },
      { id: "two", text: `${PERMIT_ALL} @id("b") ${PERMIT_ALL} @id("B c") ${PERMIT_ALL}` },
      { id: "types", text: running('context.foo || context.wire > 1 || principal.name == "x"') },
      { id: "link", template: "nowhere/t" },
      { id: "fine", text: PERMIT_ALL },
    );
    expect(about(findings)).toEqual([
      ["invalid", "deep"],
      ["invalid", "link"],
      ["invalid", "nested"],
      ["invalid", "torn"],
      ["invalid", "two"],
      ["invalid", "two"],
      ["invalid", "types"],
      ["invalid", "types"],
      ["invalid", "types"],
    ]);
    expect(findings.find(({ policy }) => policy === "link")?.message).toBe(
      'there is no template "nowhere/t"',
    );
  });

  it("says once what Cedar says for every action", async () => {
    const findings = await check({
      id: "p",
      text: "permit (principal, action, resource) when { context.foo };",
    });
    expect(findings).toHaveLength(1);
    expect(findings[0]?.message).toMatch(
      /^attribute `foo` in context for .* not found.*; likewise for \d\d other/,
    );
  });

  it("says the same in the same order each time", async () => {
    const sources = Array.from({ length: 20 }, (_, index) => ({
      id: `p${index}`,
      text: running("context.foo > 1"),
    }));
    expect(await check(...sources)).toEqual(await check(...sources.toReversed()));
  });

  // Each is as the engine does it: what is named fails for some call, and what is not named fails for none.
  const CAN_FAIL = [
    ["9223372036854775807 + 1 > 0", true],
    ["-9223372036854775807 - 2 < 0", true],
    ["3037000500 * 3037000500 > 0", true],
    ["-(-9223372036854775807 - 1) > 0", true],
    ['context.time.offset(duration("106751991167d")) > context.time', true],
    [
      'context.time.durationSince(datetime("1970-01-01").offset(duration("-9223372036854775808ms"))) > duration("1h")',
      true,
    ],
    ['datetime("1970-01-01").offset(duration("-9223372036854775808ms")).toDate() > context.time', true],
    ['(if context.wire == "quic" then 9223372036854775807 else 1) * 2 > 1', true],
    ['Folder::"x".path == "x"', true],
    ["1 + 2 * 3 - 4 > 0", false],
    ["-(7) < 0", false],
    ['context.time.offset(duration("-5h30m")).toTime() >= duration("8h")', false],
    ['context.time.durationSince(datetime("0000-01-01T00:00:00-2359")) > duration("1h")', false],
    ['datetime("9999-12-31T23:59:59-2359").toDate() > context.time.toDate()', false],
    ["context.time.toTime().toHours() * 3600 + 5 > 3", false],
    ['duration("106751991167d").toMilliseconds() > 1', false],
    ['Folder::"x" has path && Folder::"x".path == "x"', false],
    ['context has approval && context.approval.id == "x"', false],
    ['context has arguments && context.arguments.hasTag("a") && context.arguments.getTag("a") == "b"', false],
    ['ip("10.0.0.1").isInRange(ip("10.0.0.0/8")) && decimal("1.5").lessThan(decimal("2.0"))', false],
  ] as const;

  it("says of a condition that it can fail exactly when it can", async () => {
    const sources = CAN_FAIL.map(([condition], index) => ({ id: `p${index}`, text: running(condition) }));
    const named = (await checkPolicies({ schema, sources })).map(({ kind, policy }) => `${kind} ${policy}`);
    expect([...new Set(named)].sort()).toEqual(
      CAN_FAIL.flatMap(([, canFail], index) => (canFail ? [`can-error p${index}`] : [])).sort(),
    );
    const { deciding } = (await Authorizer.open({ schema, policies: sources })).explain(request(RUN));
    const failed = deciding.filter(({ error }) => error !== undefined);
    expect(failed.map(({ id }) => id)).toEqual(
      CAN_FAIL.flatMap(([, fails], index) => (fails ? [`p${index}`] : [])),
    );
  });

  it("names every arithmetic that ever fails", async () => {
    const seen = { failed: 0, named: 0, sound: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(comparison, { minLength: 40, maxLength: 40 }), async (conditions) => {
        const policies = conditions.map((condition, index) => ({
          id: `p${index}`,
          text: running(condition),
        }));
        const findings = await checkPolicies({ schema, sources: policies });
        const named = new Set(
          findings.filter(({ kind }) => kind === "can-error").map(({ policy }) => policy),
        );
        const authorizer = await Authorizer.open({ schema, policies });
        const { deciding } = authorizer.explain(request(RUN));
        for (const { id, error } of deciding) {
          if (error === undefined) continue;
          expect(named).toContain(id);
          seen.failed += 1;
        }
        seen.named += named.size;
        seen.sound += policies.length - named.size;
      }),
      runs({ short: 4, long: 60 }),
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });

  it("names what can fail in Cedar's text, in templates too, and once for all their links", async () => {
    const text = `@id("t") permit (principal in ?principal, action == Action::"tool:run", resource)
      when { context.time.offset(duration("106751991167d")) > context.time };`;
    const links = ["a", "b"].map((id) => ({ id, template: "ops/t", principal: { type: "Role", id } }));
    expect(await check({ id: "ops", text }, ...links)).toEqual([
      {
        kind: "can-error",
        policy: "ops/t",
        message: 'context.time.offset(duration("106751991167d")) can overflow',
      },
    ]);
  });

  it("finds policies that apply to nothing, links of the wrong type among them", async () => {
    const findings = await check(
      { id: "role", text: 'permit (principal == Role::"member", action, resource);' },
      { id: "never", text: "forbid (principal, action, resource) when { false };" },
      { id: "t", text: '@id("t") permit (principal in ?principal, action, resource);' },
      { id: "link", template: "t/t", principal: { type: "Secret", id: "x" } },
    );
    expect(about(findings)).toEqual([
      ["impossible", "link"],
      ["impossible", "never"],
      ["impossible", "role"],
    ]);
    expect(findings[2]?.message).toMatch(/try replacing `==` with `in` in the principal clause/);
  });

  it("finds text that is not what it looks like, and does not show it as it looks", async () => {
    const findings = await check({ id: "p", text: running('context.wire == "\u202ecuiq"') });
    expect(about(findings)).toEqual([["misleading", "p"]]);
    expect(findings[0]?.message).not.toContain("\u202e");
  });

  it("finds what decided nothing lately only when it is told what decided", async () => {
    const sources = [
      { id: "a", text: PERMIT_ALL },
      { id: "b", text: 'forbid (principal in Role::"guest", action, resource);' },
      { id: "t", text: '@id("t") permit (principal in ?principal, action, resource);' },
      { id: "l", template: "t/t", principal: { type: "Role", id: "x" } },
    ];
    expect(await checkPolicies({ schema, sources })).toEqual([]);
    expect(await checkPolicies({ schema, sources, matched: ["a"] })).toEqual([
      { kind: "never-matched", policy: "b", message: "has forbidden nothing that was asked lately" },
      { kind: "never-matched", policy: "l", message: "has permitted nothing that was asked lately" },
    ]);
    expect(await checkPolicies({ schema, sources, matched: new Set(["a", "b", "l"]) })).toEqual([]);
  });

  it("answers with at most 1 000 findings", async () => {
    const text = Array.from({ length: 1_200 }, (_, index) => `@id("p${index}") ${PERMIT_ALL}`).join("\n");
    expect(await checkPolicies({ schema, sources: [{ id: "many", text }], matched: [] })).toHaveLength(1_000);
  });

  it("does not begin without a schema", async () => {
    await expect(checkPolicies({ schema: "entity;", sources: [] })).rejects.toMatchObject({
      ...{ code: "authz.invalid-policy", message: expect.stringMatching(/^schema: /) },
    });
  });
});
