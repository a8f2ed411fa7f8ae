import { beforeAll, describe, expect, it } from "vitest";
import {
  Authorizer,
  type CallContext,
  loadDefaultPolicies,
  loadDefaultSchema,
  type Resource,
} from "../../src/authz/index.ts";
import { type Logger, silentLogger } from "../../src/core/index.ts";
import { authorizerOf, defaultAuthorizer, idOf, NOON_MS, request } from "./fixture.ts";

const OPS = `
@id("deploy") @description("Production is deployed with a yes from security")
permit (principal in Role::"member", action == Action::"tool:run", resource in ToolGroup::"production")
when {
  context has arguments && context.arguments.hasTag("environment")
  && context.arguments.getTag("environment") == "production"
}
unless { context.isEarlyData || !(context has approval && context.approval.decidedBy in Role::"security") }
when { context has approval && context.approval.decidedBy != principal };

@id("hours")
forbid (principal, action == Action::"tool:run", resource)
unless { context.time.toTime() >= duration("8h") && context.time.toTime() < duration("18h") };

@id("overflow")
permit (principal, action == Action::"audit:read", resource) when { 9223372036854775807 + 1 > 0 };`;

const DEPLOY = { kind: "tool", name: "deploy", groups: ["production"] } as const;

describe("an explanation", () => {
  let authorizer: Authorizer;

  beforeAll(async () => {
    authorizer = await defaultAuthorizer();
    authorizer.replace(
      await authorizer.candidate([...(await loadDefaultPolicies()), { id: "ops", text: OPS }]),
    );
  });

  const running = (context: Partial<CallContext> = {}, resource: Resource = DEPLOY) =>
    authorizer.explain(
      request({ action: "tool:run", resource, context: { ...request().context, ...context } }),
    );

  it("of a right names the policy that gave it, its text, what it says of itself, and what held", () => {
    const decidedBy = { deviceId: idOf("laptop"), roles: ["security"] };
    const approval = { id: "a", decidedBy };
    const { decision, deciding, nearest, words } = running({
      arguments: { environment: "production" },
      approval,
    });
    expect(decision).toMatchObject({ kind: "allow", policies: ["ops/deploy"], isMemoised: false });
    expect(nearest).toEqual([]);
    expect(deciding).toMatchObject([
      { id: "ops/deploy", effect: "permit", description: "Production is deployed with a yes from security" },
    ]);
    expect(deciding[0]?.text).toMatch(/^@id\("deploy"\) @description/);
    expect(deciding[0]?.held.map(({ clause }) => clause)).toEqual([
      "context has arguments",
      'context.arguments.hasTag("environment")',
      'context.arguments.getTag("environment") == "production"',
      "!context.isEarlyData",
      "context has approval",
      'context.approval.decidedBy in Role::"security"',
      "context has approval",
      "context.approval.decidedBy != principal",
    ]);
    expect(words.slice(0, 2)).toEqual([
      "allowed by ops/deploy",
      "ops/deploy: Production is deployed with a yes from security",
    ]);
  });

  it("of a denial says what the nearest permit lacks: the first clause that fails, not those behind it", () => {
    const lacks = (context: Partial<CallContext>) => running(context).nearest[0]?.missing;
    const production = { environment: "production" };
    const by = (device: string, roles: readonly string[]) => ({
      approval: { id: "a", decidedBy: { deviceId: idOf(device), roles } },
    });
    expect(lacks({})).toEqual({
      part: "condition",
      words: "this call has no arguments",
      clause: "context has arguments",
      value: undefined,
    });
    expect(lacks({ arguments: { e: "production" } })?.words).toBe("this call has no argument environment");
    expect(lacks({ arguments: { environment: "staging" } })).toEqual({
      part: "condition",
      words: 'needs context.arguments.getTag("environment") == "production"; it is "staging"',
      clause: 'context.arguments.getTag("environment") == "production"',
      value: '"staging"',
    });
    expect(lacks({ arguments: production, isEarlyData: true })?.words).toBe("this call came as early data");
    expect(lacks({ arguments: production })?.words).toBe("nobody approved this call");
    expect(lacks({ arguments: production, ...by("laptop", []) })?.words).toBe(
      "the approver has not the role security",
    );
    const self = request({
      principal: { deviceId: idOf("phone"), roles: ["member", "security"] },
      action: "tool:run",
      resource: DEPLOY,
      context: { ...request().context, arguments: production, ...by("phone", ["member", "security"]) },
    });
    expect(authorizer.explain(self).nearest[0]?.missing.words).toBe("the caller approved this call itself");
  });

  it("of a denial ranks permits by how much of their scope fits, and leaves out those for quite other actions", () => {
    expect(running({}, { kind: "tool", name: "deploy", groups: ["ci"] }).words).toEqual([
      "no policy permits tool:run here",
      "default/owner-everything: the caller has not the role owner",
      "ops/deploy: the tool deploy is not in the tool group production",
    ]);
    const destroy = request({
      action: "secret:destroy",
      resource: { kind: "secret", path: `devices/${idOf("phone")}/token` },
    });
    expect(authorizer.explain(destroy).words).toEqual([
      "no policy permits secret:destroy here",
      "default/owner-everything: the caller has not the role owner",
      "default/member-own-folder: the action is secret:destroy, this is for secret:list, secret:reveal or secret:write",
    ]);
  });

  it("of a call that a policy forbids says which clauses held, and why no exception was made", () => {
    const { decision, deciding, nearest, words } = running({ timeMs: NOON_MS + 8 * 3_600_000 });
    expect(decision).toMatchObject({ kind: "deny", policies: ["ops/hours"] });
    expect(nearest).toEqual([]);
    expect(deciding[0]?.held).toEqual([
      {
        clause: '!((context.time.toTime() >= duration("8h")) && (context.time.toTime() < duration("18h")))',
        exception:
          'needs context.time.toTime() < duration("18h"); context.time is datetime("2026-11-23T20:00:00.000Z")',
      },
    ]);
    expect(words[1]).toMatch(
      /^ops\/hours: forbids this because !\(.*\) \(needs context\.time\.toTime\(\) < /,
    );
  });

  it("of an error says which policy it was and what Cedar said", () => {
    const { decision, deciding, words } = authorizer.explain(
      request({ action: "audit:read", resource: { kind: "audit-log" } }),
    );
    expect(decision.kind).toBe("deny");
    expect(deciding).toMatchObject([
      { id: "ops/overflow", error: expect.stringMatching(/integer overflow/), held: [] },
    ]);
    expect(words[1]).toMatch(/^ops\/overflow: integer overflow while attempting to add/);
  });

  it("of what is no request says that it is none, and why", () => {
    const tool = authorizer.explain(request({ action: "audit:read", resource: DEPLOY }));
    expect(tool).toMatchObject({ deciding: [], nearest: [], decision: { kind: "deny" } });
    expect(tool.words).toEqual([
      "denied because the request does not fit the policy schema",
      'resource type `Tool` is not valid for `Action::"audit:read"`',
    ]);
    const path = authorizer.explain(request({ resource: { kind: "secret", path: "a//b" } }));
    expect(path.words).toEqual(["denied because the request does not fit the policy schema", "not a path"]);
  });

  it("agrees with the decision, and leaves no trace in the memo", () => {
    const asked = request({ resource: { kind: "secret", path: "shared/explained" } });
    authorizer.explain(asked);
    const decision = authorizer.decide(asked);
    expect(decision.isMemoised).toBe(false);
    expect(authorizer.explain(asked).decision).toEqual(decision);
  });

  it("after an engine's failure is a denial, and the next one is whole", () => {
    const trap = {
      ...request(),
      get resource(): never {
        throw new RangeError("stack");
      },
    };
    expect(authorizer.explain(trap).words).toEqual(["denied because the policy engine failed"]);
    expect(authorizer.explain(request()).decision.kind).toBe("allow");
  });
});

describe("the words of an explanation", () => {
  const lacking = async (text: string, overrides: Parameters<typeof request>[0] = {}) =>
    (await authorizerOf({ p: text })).explain(request(overrides)).nearest[0]?.missing.words;
  const permit = (scope: string, condition?: string) =>
    `permit (${scope})${condition === undefined ? "" : ` when { ${condition} }`};`;
  const any = (condition: string) =>
    permit('principal, action == Action::"secret:reveal", resource', condition);
  const device = idOf("node");

  it.each([
    ['principal in Role::"owner", action, resource', "the caller has not the role owner"],
    ['principal in User::"ada", action, resource', "the caller does not belong to the user ada"],
    [
      `principal == Device::"${device}", action, resource`,
      `the caller is not the device ${device.slice(0, 8)}`,
    ],
    ['principal is Device in Role::"a b", action, resource', 'the caller has not the role "a b"'],
    [
      'principal, action == Action::"tool:run", resource',
      "the action is secret:reveal, this is for tool:run",
    ],
    [
      'principal, action in Action::"write", resource',
      "the action is secret:reveal, this is for the group write",
    ],
    [
      'principal, action in [Action::"admin", Action::"tool:run"], resource',
      "the action is secret:reveal, this is for the group admin or tool:run",
    ],
    ['principal, action, resource in Folder::"ci"', "the secret shared/db is not in the folder ci"],
    [
      'principal, action, resource == Secret::"shared/x"',
      "the resource is the secret shared/db, this is for the secret shared/x",
    ],
    ["principal, action, resource is Tool", "the resource is the secret shared/db, this is for a tool"],
    [
      'principal, action, resource == AuditLog::"log"',
      "the resource is the secret shared/db, this is for the audit log",
    ],
  ])("for a scope (%s) are: %s", async (scope, words) => {
    expect(await lacking(permit(scope))).toBe(words);
  });

  it.each([
    ["context has role", "this call gives no role"],
    ["principal has name", "the caller has no name"],
    ["resource has owner", "the secret shared/db has no owner"],
    ["context.isEarlyData", "this call did not come as early data"],
    ['principal in Role::"x"', "the caller has not the role x"],
    ['context.wire == "grpc"', 'needs context.wire == "grpc"; it is "quic"'],
    ['!(context.wire == "quic")', 'needs context.wire != "quic"; it is "quic"'],
    ['context.wire like "g*"', 'needs context.wire like "g*"; it is "quic"'],
    [
      'context has remoteAddress && context.remoteAddress.isInRange(ip("10.0.0.0/8"))',
      'needs context.remoteAddress.isInRange(ip("10.0.0.0/8")); it is ip("192.0.2.7")',
    ],
    [
      'context.isEarlyData || context.wire == "grpc"',
      'needs context.isEarlyData || (context.wire == "grpc"); context.isEarlyData is false',
    ],
    ['context.wire == "\\u{202e}"', 'needs context.wire == "\\u{202e}"; it is "quic"'],
    ["false", "needs false"],
    ["1 > 9223372036854775807", "a condition that cannot be shown does not hold"],
  ])("for a condition (%s) are: %s", async (condition, words) => {
    expect(await lacking(any(condition))).toBe(words);
  });

  it("show what a request brought on one line, without control characters, and cut", async () => {
    const hostile = `a\n\u001b[31m\u202e"${"x".repeat(5_000)}`;
    const words = await lacking(
      any('context has arguments && context.arguments.hasTag("a") && context.arguments.getTag("a") == "b"'),
      { context: { ...request().context, arguments: { a: hostile } } },
    );
    expect(words).toMatch(/; it is "a\\u\{a\}\\u\{1b\}\[31m\\u\{202e\}\\"x+…$/);
    expect(words?.length).toBeLessThan(400);
  });
});

describe("an explanation under hostile policies", { timeout: 120_000 }, () => {
  let schema: string;

  beforeAll(async () => {
    schema = await loadDefaultSchema();
  });

  it("looks at 1 000 policies and says how many it left out", async () => {
    const many = Array.from(
      { length: 1_500 },
      (_, index) => `@id("p${index}")permit(principal in Role::"r${index}",action,resource);`,
    ).join("\n");
    const { nearest, omitted } = (await authorizerOf({ many })).explain(request());
    expect(nearest).toHaveLength(5);
    expect(omitted).toBe(500);
  });

  it("looks at 64 clauses of a policy, and finds words for one that fails behind them", async () => {
    const clauses = Array.from({ length: 100 }, (_, index) => `when { context.wire != "w${index}" }`).join(
      " ",
    );
    const p = `permit (principal, action, resource) ${clauses} when { false };`;
    const { nearest } = (await authorizerOf({ p })).explain(request());
    expect(nearest[0]?.missing.words).toBe("one of its many conditions does not hold");
  });

  it("names at most 64 of the policies that decided", async () => {
    const many = Array.from(
      { length: 100 },
      (_, index) => `@id("p${index}")permit(principal,action,resource);`,
    ).join("");
    const { deciding, decision } = (await authorizerOf({ many })).explain(request());
    expect(deciding).toHaveLength(64);
    expect(decision.policies).toHaveLength(100);
  });

  const early = "context.isEarlyData";
  it.each([
    ["not", (depth: number) => `${"!(".repeat(depth)}!${early}${")".repeat(depth)}`],
    ["or", (depth: number) => `${`(${early} || `.repeat(depth)}${early}${")".repeat(depth)}`],
    ["and", (depth: number) => `!(${`(${early} && `.repeat(depth)}${early}${")".repeat(depth)})`],
    ["a chain of or", (depth: number) => `${`${early} || `.repeat(depth * 2)}${early}`],
    ["a chain of plus", (depth: number) => `${"1 + ".repeat(depth * 2)}1 > 500`],
    ["if", (depth: number) => `${`if ${early} then true else (`.repeat(depth)}true${")".repeat(depth)}`],
    [
      "sets",
      (depth: number) =>
        `${"[".repeat(depth)}1${"]".repeat(depth)} == ${"[".repeat(depth)}2${"]".repeat(depth)}`,
    ],
    ["records", (depth: number) => `${"{a: ".repeat(depth)}1${"}".repeat(depth)}${".a".repeat(depth)} == 2`],
    [
      "or and not",
      (depth: number) => `${`(${early} || !(${early} && `.repeat(depth / 2)}true${"))".repeat(depth / 2)}`,
    ],
  ])("does not cost the engine, nested in %s as deep as a set can be loaded", async (_, nested) => {
    const lines: string[] = [];
    const logger: Logger = { ...silentLogger, error: (event) => void lines.push(event) };
    let loaded = 0;
    for (const depth of [46, 40, 30, 20]) {
      const policies = ["when", "unless"].map((kind) => ({
        id: kind,
        text: `permit (principal, action, resource) ${kind} { ${nested(depth)} };`,
      }));
      const one = await Authorizer.open({ schema, policies, logger }).catch(() => undefined);
      if (one === undefined) continue;
      expect(one.explain(request()).decision).toEqual(one.decide(request()));
      loaded += 1;
      if (loaded === 2) break;
    }
    expect(loaded).toBeGreaterThan(0);
    expect(lines).toEqual([]);
  });
});
