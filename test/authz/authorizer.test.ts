import { describe, expect, it } from "vitest";
import {
  ACTIONS,
  type Approval,
  Authorizer,
  CONTEXT_ATTRIBUTES,
  loadDefaultSchema,
  type Resource,
} from "../../src/authz/index.ts";
import type { LogFields, Logger } from "../../src/core/index.ts";
import { silentLogger } from "../../src/core/index.ts";
import { cedar } from "./bare-cedar.ts";
import { authorizerOf, defaultAuthorizer, idOf, NOON_MS, request, sourcesOf } from "./fixture.ts";

const PERMIT_ALL = "permit (principal, action, resource);";
const OVERFLOW = "forbid (principal, action, resource) when { 9223372036854775807 + 1 > 0 };";

const secret = (path: string): Resource => ({ kind: "secret", path });

class WebAssemblyTrap extends Error {
  override readonly name = "RuntimeError";
}

describe("the schema", () => {
  it("declares exactly the actions that requests can name, beside the four groups", async () => {
    const answer = cedar.schemaToJson(await loadDefaultSchema());
    const declared = answer.type === "success" ? Object.entries(answer.json[""]?.actions ?? {}) : [];
    const actions = declared
      .filter(([, { appliesTo }]) => (appliesTo?.principalTypes.length ?? 0) > 0)
      .map(([name]) => name);
    const groups = declared
      .filter(([, { appliesTo }]) => (appliesTo?.principalTypes.length ?? 0) === 0)
      .map(([name]) => name);
    expect(actions.sort()).toEqual([...ACTIONS].sort());
    expect(groups.sort()).toEqual(["admin", "paired", "read", "write"]);
  });

  it("puts every action into one group", async () => {
    const answer = cedar.schemaToJson(await loadDefaultSchema());
    const declared = answer.type === "success" ? (answer.json[""]?.actions ?? {}) : {};
    expect(ACTIONS.map((name) => declared[name]?.memberOf?.length)).toEqual(ACTIONS.map(() => 1));
  });
});

describe("an authorizer", () => {
  it("denies everything under no policies", async () => {
    const decision = (await authorizerOf({})).decide(request());
    expect(decision).toEqual({
      kind: "deny",
      policies: [],
      reason: "no policy permits secret:reveal here",
      isMemoised: false,
    });
  });

  it("names the policies that allowed and the ones that forbade", async () => {
    const authorizer = await authorizerOf({ all: PERMIT_ALL });
    expect(authorizer.decide(request())).toMatchObject({
      kind: "allow",
      policies: ["all"],
      reason: "allowed by all",
    });
    authorizer.replace(
      await authorizer.candidate(sourcesOf({ all: PERMIT_ALL, no: "forbid (principal, action, resource);" })),
    );
    expect(authorizer.decide(request())).toMatchObject({
      kind: "deny",
      policies: ["no"],
      reason: "forbidden by no",
    });
  });

  it("names at most three policies in a reason, whatever their number", async () => {
    const many = Array.from({ length: 6 }, (_, index) => `@id("p${index}") ${PERMIT_ALL}`).join("\n");
    const decision = (await authorizerOf({ many })).decide(request());
    expect(decision.policies).toHaveLength(6);
    expect(decision.reason).toBe("allowed by many/p0, many/p1, many/p2 and 3 more");
  });

  it("denies where Cedar would skip a forbid that overflows and allow", async () => {
    const lines: [string, LogFields | undefined][] = [];
    const logger: Logger = { ...silentLogger, warn: (event, fields) => void lines.push([event, fields]) };
    const policies = sourcesOf({ all: PERMIT_ALL, broken: OVERFLOW });
    const authorizer = await Authorizer.open({ schema: await loadDefaultSchema(), policies, logger });
    expect(authorizer.decide(request())).toEqual({
      kind: "deny",
      policies: ["broken"],
      reason: "denied because broken could not be evaluated",
      isMemoised: false,
    });
    expect(lines).toEqual([["policy-error", { action: "secret:reveal", policies: "broken" }]]);
  });

  it("denies when a permit cannot be evaluated though another one permits", async () => {
    const unknown =
      'permit (principal, action, resource is Secret) when { resource has owner && resource.owner.name == "x" };';
    // `owner.name` is optional: the validator wants it guarded, so this set never loads…
    await expect(authorizerOf({ all: PERMIT_ALL, unknown })).rejects.toMatchObject({
      code: "authz.invalid-policy",
    });
    // …while arithmetic passes the validator and fails on the day.
    const late = "permit (principal, action, resource) when { 9223372036854775807 * 2 == 0 };";
    const authorizer = await authorizerOf({ all: PERMIT_ALL, late });
    expect(authorizer.decide(request())).toMatchObject({ kind: "deny", policies: ["late"] });
  });

  it("denies an action on a kind of resource it does not apply to", async () => {
    const authorizer = await authorizerOf({ all: PERMIT_ALL });
    const decision = authorizer.decide(request({ action: "tool:run" }));
    expect(decision).toMatchObject({
      kind: "deny",
      policies: [],
      reason: "denied because the request does not fit the policy schema",
    });
  });

  it.each([
    ["an empty secret path", request({ resource: secret("") })],
    ["a path with an empty segment", request({ resource: secret("shared//db") })],
    ["a path that starts with a slash", request({ resource: secret("/shared/db") })],
    ["a path that ends with a slash", request({ resource: secret("shared/") })],
    ["a path that climbs", request({ resource: secret("shared/../db") })],
    ["a path with a dot segment", request({ resource: secret("shared/./db") })],
    ["a path with a foreign character", request({ resource: secret("shared/d\u0000b") })],
    ["a path over 512 bytes", request({ resource: secret(`${"a/".repeat(256)}b`) })],
    ["a segment over 128 bytes", request({ resource: secret("a".repeat(129)) })],
    [
      "an address that is a range",
      request({ context: { ...request().context, remoteAddress: "10.0.0.0/8" } }),
    ],
    ["an address that is none", request({ context: { ...request().context, remoteAddress: "localhost" } })],
    ["a time that is none", request({ context: { ...request().context, timeMs: Number.NaN } })],
    ["a time before 1970", request({ context: { ...request().context, timeMs: -1 } })],
    ["a time past the year 9999", request({ context: { ...request().context, timeMs: 2 ** 52 } })],
    [
      "a tool whose name is half a character",
      request({ action: "tool:run", resource: { kind: "tool", name: "a\ud800" } }),
    ],
    [
      "two stories about one device",
      request({
        action: "device:renew-self",
        resource: { kind: "device", id: idOf("phone"), roles: ["owner"] },
      }),
    ],
  ])("denies %s under policies that permit all", async (_, asked) => {
    const address =
      "forbid (principal, action, resource) when { context has remoteAddress && context.remoteAddress.isLoopback() };";
    const decision = (await authorizerOf({ all: PERMIT_ALL, address })).decide(asked);
    expect(decision).toMatchObject({ kind: "deny", policies: [], isMemoised: false });
    expect(decision.reason).toBe("denied because the request does not fit the policy schema");
  });

  it("takes the longest path there is", async () => {
    const authorizer = await defaultAuthorizer();
    const path = `shared/${"a/".repeat(252)}b`;
    expect(path.length).toBe(512);
    expect(authorizer.decide(request({ resource: secret(path) })).kind).toBe("allow");
  });

  it("sees users' roles through the devices that belong to them", async () => {
    const authorizer = await defaultAuthorizer();
    const principal = { deviceId: idOf("phone"), roles: ["guest"] };
    expect(authorizer.decide(request({ principal })).kind).toBe("deny");
    const user = { id: "ada", roles: ["member"] };
    expect(authorizer.decide(request({ principal: { ...principal, user } })).kind).toBe("allow");
    authorizer.replace(
      await authorizer.candidate(sourcesOf({ ada: 'permit (principal in User::"ada", action, resource);' })),
    );
    expect(authorizer.decide(request({ principal: { ...principal, user } })).kind).toBe("allow");
    expect(authorizer.decide(request({ principal })).kind).toBe("deny");
  });

  it("lets policies see every part of the context", async () => {
    const condition = `
      context.wire == "grpc" && context.isEarlyData && context.time == datetime("2026-11-23T12:00:00Z")
      && context has remoteAddress && context.remoteAddress.isInRange(ip("192.0.2.0/24"))
      && context has approval && context.approval.decidedBy == Device::"${idOf("laptop")}"
      && context.approval.id == "a1" && context has argumentsHash && context.argumentsHash == "00ff"
      && context has role && context.role == "guest" && context has arguments
      && context.arguments.hasTag("environment") && context.arguments.getTag("environment") == "production"`;
    const authorizer = await authorizerOf({ p: `permit (principal, action, resource) when {${condition}};` });
    const context = {
      wire: "grpc",
      isEarlyData: true,
      timeMs: NOON_MS + 999,
      remoteAddress: "::ffff:192.0.2.7%lo",
      approval: { id: "a1", decidedBy: idOf("laptop") },
      argumentsHash: "00ff",
      arguments: { environment: "production", verbose: "true" },
      role: "guest",
    } as const;
    expect(authorizer.decide(request({ context }))).toMatchObject({ kind: "allow" });
    const others = [
      { wire: "quic" },
      { isEarlyData: false },
      { timeMs: NOON_MS + 1_000 },
      { remoteAddress: "192.0.3.1" },
      { remoteAddress: undefined },
      { approval: { id: "a2", decidedBy: idOf("laptop") } },
      { approval: { id: "a1", decidedBy: idOf("node") } },
      { approval: undefined },
      { argumentsHash: "00fe" },
      { argumentsHash: undefined },
      { arguments: { environment: "staging", verbose: "true" } },
      { arguments: { verbose: "production" } },
      { arguments: {} },
      { arguments: undefined },
      { role: "owner" },
      { role: undefined },
    ] as const;
    for (const other of others) {
      expect(authorizer.decide(request({ context: { ...context, ...other } }))).toMatchObject({
        kind: "deny",
      });
    }
  });

  it("sees an approver's roles and user, and of an approver named by its id alone neither", async () => {
    const authorizer = await authorizerOf({
      security:
        'permit (principal, action, resource) when { context has approval && context.approval.decidedBy in Role::"security" };',
    });
    const by = (decidedBy: Approval["decidedBy"]) =>
      authorizer.decide(request({ context: { ...request().context, approval: { id: "a", decidedBy } } }))
        .kind;
    const laptop = { deviceId: idOf("laptop"), roles: ["security"] };
    expect(by(laptop)).toBe("allow");
    expect(by({ ...laptop, roles: [], user: { id: "ada", roles: ["security"] } })).toBe("allow");
    expect(by({ ...laptop, roles: [], user: { id: "ada", roles: [] } })).toBe("deny");
    expect(by({ ...laptop, roles: ["Security"] })).toBe("deny");
    expect(by(laptop.deviceId)).toBe("deny");
  });

  it("knows a caller who approved itself by what it is as a caller, and denies when the two differ", async () => {
    const authorizer = await authorizerOf({
      any: "permit (principal, action, resource) when { context has approval };",
    });
    const self = (roles: readonly string[]) =>
      authorizer.decide(
        request({
          context: {
            ...request().context,
            approval: { id: "a", decidedBy: { deviceId: idOf("phone"), roles } },
          },
        }),
      );
    expect(self(["member"])).toMatchObject({ kind: "allow" });
    expect(self(["member", "security"])).toMatchObject({
      kind: "deny",
      reason: "denied because the request does not fit the policy schema",
    });
  });

  it("finds a tool in its groups and in no others", async () => {
    const authorizer = await authorizerOf({
      group: 'permit (principal, action == Action::"tool:run", resource in ToolGroup::"production");',
    });
    const of = (groups?: readonly string[]) =>
      authorizer.decide(
        request({ action: "tool:run", resource: { kind: "tool", name: "production", groups } }),
      ).kind;
    expect([of(["ci", "production"]), of(["ci"]), of([]), of()]).toEqual(["allow", "deny", "deny", "deny"]);
  });

  it.each(["__proto__", "constructor", "__entity", "__extn", "", "a b", "ключ"])(
    "tells an argument named %j from its absence",
    async (name) => {
      const authorizer = await authorizerOf({
        tag: `permit (principal, action, resource) when { context has arguments && context.arguments.hasTag("${name}") && context.arguments.getTag("${name}") == "v" };`,
      });
      const given = (entries: readonly (readonly [string, string])[]) =>
        authorizer.decide(
          request({ context: { ...request().context, arguments: Object.fromEntries(entries) } }),
        ).kind;
      expect(given([[name, "v"]])).toBe("allow");
      expect(given([[name, "w"]])).toBe("deny");
      expect(given([[`${name}x`, "v"]])).toBe("deny");
      expect(given([])).toBe("deny");
    },
  );

  it("denies what is not Unicode without losing its engine", async () => {
    const lines: string[] = [];
    const logger: Logger = { ...silentLogger, error: (event) => void lines.push(event) };
    const policies = sourcesOf({ p: "permit (principal, action, resource) when { context == context };" });
    const authorizer = await Authorizer.open({ schema: await loadDefaultSchema(), policies, logger });
    const halves = [
      { arguments: { "\ud800": "a" } },
      { arguments: { a: "\udc00" } },
      { role: "x\ud800" },
      { argumentsHash: "\ud83d" },
      { approval: { id: "\ud83d", decidedBy: idOf("laptop") } },
    ];
    for (const half of halves) {
      expect(authorizer.decide(request({ context: { ...request().context, ...half } })).kind).toBe("deny");
    }
    const whole = { arguments: { "😀": "\u0000" } };
    expect(authorizer.decide(request({ context: { ...request().context, ...whole } })).kind).toBe("allow");
    expect(lines).toEqual([]);
  });

  it("lists its policies with what they are, and says which parts of the context they ask about", async () => {
    const authorizer = await authorizerOf({
      ops: `@id("a") @description("Members\nmay look") permit (principal, action, resource) when { context has role };
            @id("t") forbid (principal in ?principal, action, resource);`,
    });
    expect(authorizer.policies()).toMatchObject([
      { id: "ops/a", effect: "permit", kind: "static", description: "Members may look" },
      { id: "ops/t", effect: "forbid", kind: "template", description: undefined },
    ]);
    expect(authorizer.policies()[1]?.text).toBe(
      '@id("t") forbid (principal in ?principal, action, resource);',
    );
    expect(CONTEXT_ATTRIBUTES.filter((attribute) => authorizer.mentions(attribute))).toEqual(["role"]);
  });

  it("answers with the engine's failure as a denial and goes on deciding", async () => {
    const authorizer = await authorizerOf({ all: PERMIT_ALL });
    const trap = {
      ...request(),
      get resource(): never {
        throw new WebAssemblyTrap();
      },
    };
    expect(authorizer.decide(trap)).toMatchObject({
      kind: "deny",
      reason: "denied because the policy engine failed",
    });
    expect(authorizer.decide(request())).toMatchObject({ kind: "allow" });
  });
});

describe("a set of policies", () => {
  const nested = (depth: number): string =>
    `permit (principal, action, resource) when { ${"(".repeat(depth)}true${")".repeat(depth)} };`;
  const chained = (terms: number): string =>
    `permit (principal, action, resource) when { true${' || context.wire == "quic"'.repeat(terms)} };`;
  const large = `${"// padding\n".repeat(30_000)}${PERMIT_ALL}`;

  it.each([
    ["that does not parse", "permit (principal, action;", /p: unexpected token/],
    [
      "with an attribute the schema has not",
      "permit (principal, action, resource) when { context.foo };",
      /foo/,
    ],
    [
      "with an unknown action",
      'permit (principal, action == Action::"secret:steal", resource);',
      /secret:steal/,
    ],
    ["with a type error", "permit (principal, action, resource) when { context.wire > 1 };", /p: /],
    [
      "with an unguarded optional attribute",
      'permit (principal, action, resource) when { principal.name == "x" };',
      /name/,
    ],
    [
      "with a template that has no id",
      "permit (principal == ?principal, action, resource);",
      /template needs an @id/,
    ],
    ["with several policies of which one has no id", `@id("a") ${PERMIT_ALL} ${PERMIT_ALL}`, /needs an @id/],
    ["with one id twice", `@id("a") ${PERMIT_ALL} @id("a") ${PERMIT_ALL}`, /two policies with the id p\/a/],
    ["with an id that is none", `@id("a b") ${PERMIT_ALL}`, /@id is not/],
    ["with thousands of parentheses", nested(20_000), /nested too deep/],
    ["with a few hundred parentheses", nested(400), /nested too deep/],
    ["with a chain of hundreds of operators", chained(150), /nested too deep/],
    ["with a chain of thousands of operators", chained(5_000), /over 16384 bytes/],
    ["over its size bound", large, /at most 262144/],
  ])("%s is refused, and the old one stays", async (_, text, message) => {
    const authorizer = await authorizerOf({ old: PERMIT_ALL });
    const load = () => authorizer.candidate([{ id: "p", text }]);
    await expect(load()).rejects.toThrow(message);
    await expect(load()).rejects.toMatchObject({ code: "authz.invalid-policy" });
    expect(authorizer.decide(request())).toMatchObject({ kind: "allow", policies: ["old"] });
    await expect(authorizerOf({ p: text })).rejects.toMatchObject({ code: "authz.invalid-policy" });
  });

  it("nested as deep as is taken still decides", async () => {
    const authorizer = await authorizerOf({ p: chained(90) });
    expect(authorizer.decide(request())).toMatchObject({ kind: "allow", policies: ["p"] });
  });

  it("with a source id that is none is refused", async () => {
    await expect(authorizerOf({ "A b": PERMIT_ALL })).rejects.toThrow(/source's id/);
    await expect(authorizerOf({ "": PERMIT_ALL })).rejects.toThrow(/source's id/);
  });

  it("is not opened under a schema that does not parse", async () => {
    const open = Authorizer.open({ schema: "entity;", policies: [] });
    await expect(open).rejects.toMatchObject({ code: "authz.invalid-policy" });
    await expect(open).rejects.toThrow(/^schema: /);
  });
});
