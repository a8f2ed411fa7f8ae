import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  type AuthorizationRequest,
  type Authorizer,
  type CallContext,
  loadDefaultSchema,
} from "../../src/authz/index.ts";
import { LIMITS } from "../../src/core/index.ts";
import { runs, times } from "../support/effort.ts";
import { asked, policySet } from "./arbitrary.ts";
import { bareCedar } from "./bare-cedar.ts";
import { authorizerOf, idOf, NOON_MS, request, sourcesOf } from "./fixture.ts";

/** What a decision may hang on, as text that two requests share only when they are alike: keys must part what this parts. */
function everythingIn({ principal, action, resource, context }: AuthorizationRequest): string {
  const { timeMs, arguments: values, ...rest } = context;
  const sorted =
    values === undefined ? undefined : Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([principal, action, resource, rest, Math.floor(timeMs / 1_000), sorted]);
}

describe("the memo of decisions", { timeout: times({ short: 60_000, long: 900_000 }) }, () => {
  let schema: string;
  let authorizer: Authorizer;

  beforeAll(async () => {
    schema = await loadDefaultSchema();
    authorizer = await authorizerOf({});
  });

  it("agrees with bare Cedar while policies, roles and requests change, and never allows what it denies", async () => {
    const seen = { memoised: 0, allowed: 0, errors: 0, asked: 0, approved: 0 };
    const round = fc.tuple(policySet, fc.array(asked, { minLength: 1, maxLength: 25 }));
    await fc.assert(
      fc.asyncProperty(fc.array(round, { minLength: 1, maxLength: 3 }), async (rounds) => {
        for (const [policies, requests] of rounds) {
          authorizer.replace(await authorizer.candidate(sourcesOf(policies)));
          const ask = bareCedar(schema, policies);
          for (const one of [...requests, ...requests]) {
            const decision = authorizer.decide(one);
            const bare = ask(one);
            expect(decision.kind).toBe(bare.isAllowed && !bare.hasErrors ? "allow" : "deny");
            expect(bare.hasErrors ? [] : decision.policies).toEqual(bare.hasErrors ? [] : bare.policies);
            seen.asked += 1;
            seen.memoised += Number(decision.isMemoised);
            seen.allowed += Number(bare.isAllowed);
            seen.errors += Number(bare.hasErrors && bare.isAllowed);
            seen.approved += Number(bare.policies.includes("approved"));
          }
        }
      }),
      runs({ short: 15, long: 100 }),
    );
    expect(seen.memoised).toBeGreaterThan(seen.asked / 3);
    expect(seen.allowed).toBeGreaterThan(0);
    expect(seen.errors).toBeGreaterThan(0);
    expect(seen.approved).toBeGreaterThan(0);
  });

  it("keys two requests alike exactly when nothing that policies could see of them differs", async () => {
    // A policy that takes the context whole sees all of it.
    const whole = await authorizerOf({
      p: "permit (principal, action, resource) when { context == context };",
    });
    const keys = new Map<string, boolean>();
    fc.assert(
      fc.property(asked, (one) => {
        const { isMemoised, reason } = whole.decide(one);
        // What does not fit the schema is not remembered.
        if (reason.includes("does not fit")) return;
        expect(isMemoised).toBe(keys.has(everythingIn(one)));
        keys.set(everythingIn(one), true);
      }),
      { numRuns: times({ short: 500, long: 5_000 }) },
    );
    expect(keys.size).toBeGreaterThan(50);
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
      { action: "tool:run", resource: { kind: "tool", name: "deploy" } },
      { action: "tool:run", resource: { kind: "tool", name: "deploy", groups: ["production"] } },
    ] as const;
    for (const other of others) expect(fresh.decide(request(other)).isMemoised).toBe(false);
    for (const other of others) expect(fresh.decide(request(other)).isMemoised).toBe(true);
  });

  it("keys arguments, approvers and roles to give where a policy mentions them, and not where none does", async () => {
    const tool = (context: Partial<CallContext>) =>
      request({
        action: "tool:run",
        resource: { kind: "tool", name: "deploy" },
        context: { ...request().context, ...context },
      });
    const approval = (roles: readonly string[]) => ({
      approval: { id: "a", decidedBy: { deviceId: idOf("laptop"), roles } },
    });
    const pairs = {
      arguments: [{ arguments: { a: "b" } }, { arguments: { a: "c" } }],
      approval: [approval(["security"]), approval([])],
      role: [{ role: "member" }, { role: "owner" }],
    } as const;
    const isMemoised = async (
      text: string,
      [one, other]: readonly [Partial<CallContext>, Partial<CallContext>],
    ) => {
      const authorizer = await authorizerOf({ p: text });
      authorizer.decide(tool(one));
      return [other, other].map((context) => authorizer.decide(tool(context)).isMemoised);
    };
    for (const [attribute, pair] of Object.entries(pairs)) {
      const asks = `permit (principal, action, resource) when { context has ${attribute} };`;
      expect(await isMemoised("permit (principal, action, resource);", pair)).toEqual([true, true]);
      expect(await isMemoised(asks, pair)).toEqual([false, true]);
    }
  });

  it("takes one call's arguments for the same in whatever order they came", async () => {
    const seeing = await authorizerOf({
      p: "permit (principal, action, resource) when { context has arguments };",
    });
    const given = (values: Readonly<Record<string, string>>) =>
      seeing.decide(request({ context: { ...request().context, arguments: values } }));
    given({ a: "1", b: "2" });
    expect(given({ b: "2", a: "1" }).isMemoised).toBe(true);
    expect(given({ a: "2", b: "1" }).isMemoised).toBe(false);
    expect(given({ a: "1b1:2" }).isMemoised).toBe(false);
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
    one.replace(await one.candidate(sourcesOf({ p: "forbid (principal, action, resource);" })));
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
