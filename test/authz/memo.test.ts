import { createRequire } from "node:module";
import type * as Cedar from "@cedar-policy/cedar-wasm/nodejs";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type AuthorizationRequest,
  type Authorizer,
  loadDefaultSchema,
  type Resource,
} from "../../src/authz/index.ts";
import { LIMITS } from "../../src/core/index.ts";
import { times } from "../support/effort.ts";
import { authorizerOf, idOf, NOON_MS, request, sourcesOf } from "./fixture.ts";

const cedar = createRequire(import.meta.url)("@cedar-policy/cedar-wasm/nodejs") as typeof Cedar;

const POOL: Readonly<Record<string, string>> = {
  owners: 'permit (principal in Role::"owner", action, resource);',
  shared: 'permit (principal, action in Action::"read", resource in Folder::"shared");',
  ci: 'permit (principal, action in [Action::"read", Action::"write"], resource in Folder::"shared/ci");',
  own: "permit (principal, action, resource) when { resource has owner && resource.owner == principal };",
  named: 'permit (principal, action, resource) when { principal has name && principal.name == "n" };',
  self: "permit (principal, action, resource is Device) when { resource == principal };",
  noon: 'permit (principal, action, resource) when { context.time <= datetime("2026-11-23T12:00:00Z") };',
  wire: 'forbid (principal, action, resource) when { context.wire == "grpc" };',
  early: 'forbid (principal, action in Action::"write", resource) when { context.isEarlyData };',
  lan: 'forbid (principal, action, resource) unless { context has remoteAddress && context.remoteAddress.isInRange(ip("192.0.2.0/24")) };',
  overflow: 'forbid (principal in Role::"guest", action, resource) when { 9223372036854775807 + 1 > 0 };',
  whole:
    'forbid (principal, action, resource) when { [context].contains(context) && context.wire == "grpc" };',
};

const devices = ["phone", "node"] as const;
const pathOf = (device: string) => `devices/${idOf(device)}`;

const facts = fc.record(
  {
    roles: fc.subarray(["guest", "member", "owner"]),
    name: fc.constantFrom("n", "m"),
    user: fc.record({ id: fc.constant("ada"), roles: fc.subarray(["owner", "guest"]) }),
  },
  { requiredKeys: ["roles"] },
);

const resource: fc.Arbitrary<Resource> = fc.oneof(
  fc
    .constantFrom(
      "shared/db",
      "shared/ci/token",
      "shared",
      "other",
      `${pathOf("phone")}/a`,
      `${pathOf("node")}/a/b`,
    )
    .map((path) => ({ kind: "secret", path }) as const),
  fc
    .constantFrom("", "shared", "shared/ci", pathOf("phone"))
    .map((path) => ({ kind: "folder", path }) as const),
  fc
    .tuple(fc.constantFrom(...devices), facts)
    .map(([device, of]) => ({ kind: "device", id: idOf(device), ...of }) as const),
  fc.constant({ kind: "audit-log" } as const),
);

const asked: fc.Arbitrary<AuthorizationRequest> = fc.record({
  principal: fc
    .tuple(fc.constantFrom(...devices), facts)
    .map(([device, of]) => ({ deviceId: idOf(device), ...of })),
  action: fc.constantFrom("secret:list", "secret:reveal", "secret:write", "device:renew-self", "audit:read"),
  resource,
  context: fc.record(
    {
      wire: fc.constantFrom("quic", "grpc"),
      timeMs: fc.constantFrom(NOON_MS, NOON_MS + 999, NOON_MS + 1_000),
      isEarlyData: fc.boolean(),
      remoteAddress: fc.constantFrom("192.0.2.7", "198.51.100.1"),
    },
    { requiredKeys: ["wire", "timeMs", "isEarlyData"] },
  ),
});

/** What bare Cedar says, with the whole context and with the tree as a chain of Folder entities. */
function bareCedar(
  schema: string,
  policies: Readonly<Record<string, string>>,
  { principal, action, resource: about, context }: AuthorizationRequest,
): { readonly isAllowed: boolean; readonly policies: readonly string[]; readonly hasErrors: boolean } {
  const device = (id: string, of: typeof principal | (Resource & { kind: "device" })): Cedar.EntityJson[] => [
    {
      uid: { type: "Device", id },
      attrs: of.name === undefined ? {} : { name: of.name },
      parents: [
        ...of.roles.map((role) => ({ type: "Role", id: role })),
        ...(of.user === undefined ? [] : [{ type: "User", id: of.user.id }]),
      ],
    },
    ...(of.user === undefined
      ? []
      : [
          {
            uid: { type: "User", id: of.user.id },
            attrs: {},
            parents: of.user.roles.map((id) => ({ type: "Role", id })),
          },
        ]),
  ];
  const folders = (path: string): Cedar.EntityJson[] => {
    const above = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
    const parents = path === "" ? [] : [{ type: "Folder", id: above }];
    const isOwn = path.split("/").length > 1 && path.startsWith("devices/");
    const owner = { __entity: { type: "Device", id: path.split("/")[1] ?? "" } };
    const entity = { uid: { type: "Folder", id: path }, attrs: isOwn ? { path, owner } : { path }, parents };
    return [entity, ...(path === "" ? [] : folders(above))];
  };
  const secret = (path: string): Cedar.EntityJson[] => {
    const [self, ...above] = folders(path);
    return self === undefined ? [] : [{ ...self, uid: { type: "Secret", id: path } }, ...above];
  };
  const [type, id, entities] = ((): readonly [string, string, Cedar.EntityJson[]] => {
    switch (about.kind) {
      case "secret":
        return ["Secret", about.path, secret(about.path)];
      case "folder":
        return ["Folder", about.path, folders(about.path)];
      case "device":
        return ["Device", about.id, device(about.id, about)];
      case "audit-log":
        return ["AuditLog", "log", []];
      case "gatehouse":
      case "policy":
      case "tool":
      case "profile":
        throw new TypeError(`the property asks nothing of a ${about.kind}`);
    }
  })();
  const time = {
    __extn: { fn: "datetime", arg: new Date(context.timeMs - (context.timeMs % 1_000)).toISOString() },
  };
  const address =
    context.remoteAddress === undefined
      ? {}
      : { remoteAddress: { __extn: { fn: "ip", arg: context.remoteAddress } } };
  const answer = cedar.isAuthorized({
    principal: { type: "Device", id: principal.deviceId },
    action: { type: "Action", id: action },
    resource: { type, id },
    context: { wire: context.wire, isEarlyData: context.isEarlyData, time, ...address },
    schema,
    validateRequest: true,
    policies: { staticPolicies: { ...policies } },
    entities: unique([...device(principal.deviceId, principal), ...entities]),
  });
  if (answer.type === "failure") return { isAllowed: false, policies: [], hasErrors: true };
  const { decision, diagnostics } = answer.response;
  return {
    isAllowed: decision === "allow",
    policies: [...diagnostics.reason].sort(),
    hasErrors: diagnostics.errors.length > 0,
  };
}

function unique(entities: readonly Cedar.EntityJson[]): Cedar.EntityJson[] {
  return [...new Map(entities.map((entity) => [JSON.stringify(entity), entity])).values()];
}

describe("the memo of decisions", () => {
  let schema: string;
  let authorizer: Authorizer;

  beforeAll(async () => {
    schema = await loadDefaultSchema();
    authorizer = await authorizerOf({});
  });

  it("agrees with bare Cedar while policies, roles and requests change, and never allows what it denies", () => {
    const set = fc.subarray(Object.keys(POOL));
    const seen = { memoised: 0, allowed: 0, errors: 0, asked: 0 };
    const round = fc.tuple(set, fc.array(asked, { minLength: 1, maxLength: 25 }));
    fc.assert(
      fc.property(fc.array(round, { minLength: 1, maxLength: 3 }), (rounds) => {
        for (const [ids, requests] of rounds) {
          const policies = Object.fromEntries(ids.map((id) => [id, POOL[id] ?? ""]));
          authorizer.replace(sourcesOf(policies));
          for (const one of [...requests, ...requests]) {
            const decision = authorizer.decide(one);
            const bare = bareCedar(schema, policies, one);
            expect(decision.kind).toBe(bare.isAllowed && !bare.hasErrors ? "allow" : "deny");
            expect(bare.hasErrors ? [] : decision.policies).toEqual(bare.hasErrors ? [] : bare.policies);
            seen.asked += 1;
            seen.memoised += Number(decision.isMemoised);
            seen.allowed += Number(bare.isAllowed);
            seen.errors += Number(bare.hasErrors && bare.isAllowed);
          }
        }
      }),
      { numRuns: times({ short: 12, long: 100 }) },
    );
    expect(seen.memoised).toBeGreaterThan(seen.asked / 3);
    expect(seen.allowed).toBeGreaterThan(0);
    expect(seen.errors).toBeGreaterThan(0);
  });

  it("answers the same question from memory, and another principal, role, action, path or kind anew", async () => {
    const fresh = await authorizerOf({ p: "permit (principal, action, resource);" });
    expect(fresh.decide(request()).isMemoised).toBe(false);
    expect(fresh.decide(request()).isMemoised).toBe(true);
    const others = [
      { principal: { deviceId: idOf("node"), roles: ["member"] } },
      { principal: { deviceId: idOf("phone"), roles: ["owner"] } },
      { principal: { deviceId: idOf("phone"), roles: ["member"], name: "n" } },
      { principal: { deviceId: idOf("phone"), roles: ["member"], user: { id: "u", roles: [] } } },
      { principal: { deviceId: idOf("phone"), roles: ["member"], user: { id: "u", roles: ["owner"] } } },
      { action: "secret:write" },
      { resource: { kind: "secret", path: "shared/db2" } },
      { resource: { kind: "folder", path: "shared/db" } },
    ] as const;
    for (const other of others) expect(fresh.decide(request(other)).isMemoised).toBe(false);
    for (const other of others) expect(fresh.decide(request(other)).isMemoised).toBe(true);
  });

  it("keys the time to the second where a policy mentions it, and not at all where none does", async () => {
    const at = (timeMs: number) => request({ context: { ...request().context, timeMs } });
    const timeless = await authorizerOf({ p: "permit (principal, action, resource);" });
    timeless.decide(at(NOON_MS));
    expect(timeless.decide(at(NOON_MS + 86_400_000)).isMemoised).toBe(true);
    const timely = await authorizerOf({
      p: 'permit (principal, action, resource) when { context.time < datetime("2026-11-23T12:00:01Z") };',
    });
    timely.decide(at(NOON_MS));
    expect(timely.decide(at(NOON_MS + 999))).toMatchObject({ kind: "allow", isMemoised: true });
    expect(timely.decide(at(NOON_MS + 1_000))).toMatchObject({ kind: "deny", isMemoised: false });
  });

  it("is dropped with the policies it was made under", async () => {
    const one = await authorizerOf({ p: "permit (principal, action, resource);" });
    one.decide(request());
    one.replace(sourcesOf({ p: "forbid (principal, action, resource);" }));
    expect(one.decide(request())).toMatchObject({ kind: "deny", isMemoised: false });
  });

  it("holds a bounded number of decisions, and forgets the oldest first", async () => {
    const one = await authorizerOf({ p: "permit (principal, action, resource);" });
    const tool = (index: number) =>
      one.decide(request({ action: "tool:run", resource: { kind: "tool", name: `t${index}` } }));
    for (let index = 0; index <= LIMITS.decisionMemoEntries; index += 1) tool(index);
    expect(tool(1).isMemoised).toBe(true);
    expect(tool(0).isMemoised).toBe(false);
    expect(tool(1).isMemoised).toBe(false);
  });
});
