import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AuthorizationRequest, type Decision, RequestRecorder } from "../../src/authz/index.ts";
import { concat, fromUtf8, utf8 } from "../../src/core/index.ts";
import { times } from "../support/effort.ts";
import { asked } from "./arbitrary.ts";
import { authorizerOf, idOf, NOON_MS, request } from "./fixture.ts";

const ALLOW: Decision = { kind: "allow", policies: ["p"], reason: "allowed by p", isMemoised: true };
const DENY: Decision = { kind: "deny", policies: [], reason: "no policy", isMemoised: false };
const HEADER_BYTES = 5;

const tool = (name: string, context: object = {}) =>
  request({
    action: "tool:run",
    resource: { kind: "tool", name },
    context: { ...request().context, ...context },
  });
const later = (one: AuthorizationRequest, ms: number): AuthorizationRequest => ({
  ...one,
  context: { ...one.context, timeMs: one.context.timeMs + ms },
});

function recorderOf(...requests: readonly AuthorizationRequest[]): RequestRecorder {
  const recorder = new RequestRecorder();
  for (const one of requests) recorder.note(one, ALLOW);
  return recorder;
}

/** As JSON sees them: what is not there is not there. */
const plain = (recorder: RequestRecorder | undefined): unknown =>
  recorder === undefined ? undefined : JSON.parse(JSON.stringify(recorder.recorded()));

describe("a recorder of requests", { timeout: 120_000 }, () => {
  it("holds a request once however often it comes, with its count and what was decided last", () => {
    const recorder = recorderOf(request(), later(request(), 5_000));
    recorder.note(later(request(), 9_000), DENY);
    expect(recorder.recorded()).toEqual([
      {
        request: later(request(), 9_000),
        count: 3,
        firstMs: NOON_MS,
        decision: { kind: "deny", policies: [] },
      },
    ]);
  });

  it("parts requests that differ in anything but time", () => {
    const one = request();
    const others = [
      { ...one, principal: { ...one.principal, roles: ["member", "x"] } },
      { ...one, principal: { ...one.principal, name: "n" } },
      { ...one, principal: { ...one.principal, user: { id: "ada", roles: [] } } },
      { ...one, action: "secret:write" as const },
      { ...one, context: { ...one.context, wire: "grpc" as const } },
      { ...one, context: { ...one.context, isEarlyData: true } },
      { ...one, context: { ...one.context, remoteAddress: undefined } },
      { ...one, context: { ...one.context, role: "x" } },
      tool("a"),
      tool("a", { arguments: {} }),
      tool("a", { arguments: { a: "b" } }),
      tool("a", { approval: { id: "a", decidedBy: idOf("laptop") } }),
      tool("a", { approval: { id: "a", decidedBy: { deviceId: idOf("laptop"), roles: [] } } }),
    ];
    expect(recorderOf(one, ...others, ...others).recorded()).toHaveLength(others.length + 1);
  });

  it("keeps what came, whatever happens to the object that it came in", () => {
    const roles = ["member"];
    const values = { a: "b" };
    const one = { ...tool("a", { arguments: values }), principal: { deviceId: idOf("phone"), roles } };
    const recorder = recorderOf(one);
    roles.push("owner");
    values.a = "c";
    expect(recorder.recorded()[0]?.request).toMatchObject({
      principal: { roles: ["member"] },
      context: { arguments: { a: "b" } },
    });
  });

  it("is bounded, and forgets what was not seen for longest", () => {
    const recorder = new RequestRecorder();
    for (let index = 0; index < 4_096; index += 1) recorder.note(tool(`t${index}`), ALLOW);
    recorder.note(tool("t0"), ALLOW);
    recorder.note(tool("new"), ALLOW);
    const names = recorder.recorded().map(({ request: { resource } }) => "name" in resource && resource.name);
    expect(names).toHaveLength(4_096);
    expect(names.slice(-2)).toEqual(["t0", "new"]);
    expect(names).not.toContain("t1");
    expect(names[0]).toBe("t2");
  });

  it("is bounded in bytes too, and leaves out a request that is long by itself", () => {
    const recorder = recorderOf(request(), tool("long", { arguments: { a: "x".repeat(65_536) } }));
    expect(recorder.recorded()).toHaveLength(1);
    for (let index = 0; index < 100; index += 1) {
      recorder.note(tool(`t${index}`, { arguments: { a: "\u0000".repeat(10_000) } }), ALLOW);
    }
    const { length } = recorder.recorded();
    expect(length).toBeGreaterThan(30);
    expect(length).toBeLessThan(40);
    expect(recorder.encode().length).toBeLessThan(2_200_000);
    expect(RequestRecorder.decode(recorder.encode())?.recorded()).toHaveLength(length);
  });

  it("leaves out a request without a time", () => {
    expect(recorderOf(later(request(), Number.NaN), later(request(), -NOON_MS - 1)).recorded()).toEqual([]);
  });

  it("names at most 16 of the policies that decided", () => {
    const recorder = new RequestRecorder();
    const policies = Array.from({ length: 40 }, (_, index) => `p${index}`);
    recorder.note(request(), { ...ALLOW, policies });
    expect(recorder.recorded()[0]?.decision.policies).toEqual(policies.slice(0, 16));
    expect(plain(RequestRecorder.decode(recorder.encode()))).toEqual(plain(recorder));
  });

  it("holds requests so exactly that they are decided again as they were", async () => {
    const authorizer = await authorizerOf({
      all: "permit (principal, action, resource);",
      whole: `forbid (principal, action, resource) when { [context].contains(context) && context.isEarlyData };
      `,
      ada: 'forbid (principal in Role::"security", action, resource in ToolGroup::"ci");',
    });
    fc.assert(
      fc.property(fc.array(asked, { maxLength: 20 }), (requests) => {
        const recorder = new RequestRecorder();
        for (const one of requests) recorder.note(one, authorizer.decide(one));
        const back = RequestRecorder.decode(recorder.encode());
        expect(plain(back)).toEqual(plain(recorder));
        for (const { request: one, decision } of back?.recorded() ?? []) {
          expect(authorizer.decide(one)).toMatchObject(decision);
        }
      }),
      { numRuns: times({ short: 30, long: 300 }) },
    );
  });

  it("goes on after being decoded where it was", () => {
    const recorder = recorderOf(request(), tool("a"), tool("b"), request());
    const back = RequestRecorder.decode(recorder.encode());
    back?.note(later(request(), 1_000), DENY);
    expect(back?.recorded().map(({ count }) => count)).toEqual([1, 1, 3]);
  });
});

describe("recorded requests in bytes", { timeout: 120_000 }, () => {
  const full = recorderOf(
    request(),
    tool("a", {
      arguments: { z: "1", a: "\ud800é" },
      approval: {
        id: "a",
        decidedBy: { deviceId: idOf("laptop"), roles: ["r"], user: { id: "u", roles: ["s"] } },
      },
      argumentsHash: "00",
      role: "r",
    }),
    request({
      action: "device:rename",
      resource: { kind: "device", id: idOf("node"), roles: [], name: "n" },
    }),
    request({ action: "gatehouse:ping", resource: { kind: "gatehouse", id: idOf("home") } }),
    request({ action: "policy:read", resource: { kind: "policy", id: "default" } }),
    request({ action: "profile:use", resource: { kind: "profile", name: "github" } }),
    request({ action: "secret:list", resource: { kind: "folder", path: "" } }),
    request({ action: "audit:read", resource: { kind: "audit-log" } }),
  );
  const bytes = full.encode();
  const json: readonly (readonly [Record<string, object>, number, number, string, string[]])[] = JSON.parse(
    fromUtf8(bytes.subarray(HEADER_BYTES)),
  );
  const encoded = (rows: unknown): Uint8Array =>
    concat(bytes.subarray(0, HEADER_BYTES), utf8(typeof rows === "string" ? rows : JSON.stringify(rows)));

  it("come back as they went", () => {
    expect(plain(RequestRecorder.decode(bytes))).toEqual(plain(full));
    expect(RequestRecorder.decode(bytes)?.encode()).toEqual(bytes);
    expect(RequestRecorder.decode(new RequestRecorder().encode())?.recorded()).toEqual([]);
    expect(RequestRecorder.decode(encoded(json))).toBeDefined();
  });

  it("are refused when cut anywhere, or followed by anything", () => {
    for (let end = 0; end < bytes.length; end += 1) {
      expect(RequestRecorder.decode(bytes.subarray(0, end)), `${end} bytes`).toBeUndefined();
    }
    for (const extra of [" ", "\u0000", "]", "\n"]) {
      expect(RequestRecorder.decode(concat(bytes, utf8(extra)))).toBeUndefined();
    }
  });

  it("come back as something else or not at all when a bit is flipped", () => {
    const step = times({ short: 7, long: 1 });
    for (let bit = 0; bit < bytes.length * 8; bit += step) {
      const flipped = new Uint8Array(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const back = RequestRecorder.decode(flipped);
      expect(
        back === undefined || back.encode().every((byte, index) => byte === flipped[index]),
        `bit ${bit}`,
      ).toBe(true);
      expect(bit < HEADER_BYTES * 8 ? back : undefined).toBeUndefined();
    }
  });

  const [row] = json;
  if (row === undefined) throw new TypeError("nothing was encoded");
  const [asking, ...rest] = row;
  it.each<readonly [string, unknown]>([
    ["an object", {}],
    ["a row that is none", [[]]],
    ["a row too long", [[...row, 1]]],
    ["one request twice", [row, row]],
    ["an unknown key", [[{ ...asking, x: 1 }, ...rest]]],
    ["keys in another order", [[Object.fromEntries(Object.entries(asking).reverse()), ...rest]]],
    ["an action that is none", [[{ ...asking, action: "secret:steal" }, ...rest]]],
    ["a device id that is none", [[{ ...asking, principal: { deviceId: "x", roles: [] } }, ...rest]]],
    ["a context with an unknown key", [[{ ...asking, context: { ...asking["context"], x: 1 } }, ...rest]]],
    ["a resource of no kind", [[{ ...asking, resource: { kind: "thing" } }, ...rest]]],
    ["a resource with too much", [[{ ...asking, resource: { ...asking["resource"], id: "x" } }, ...rest]]],
    ["a count below nothing", [[asking, rest[0], -1, ...rest.slice(2)]]],
    ["a decision that is none", [[...row.slice(0, 3), "maybe", []]]],
    ["policies past their bound", [[...row.slice(0, 4), Array.from({ length: 17 }, String)]]],
    ["null", null],
    ["white space", ` ${JSON.stringify(json)}`],
    [
      "a key twice",
      JSON.stringify(json).replace('"roles":["member"]', '"roles":["member"],"roles":["member"]'),
    ],
    ["a number written otherwise", JSON.stringify(json).replace(",1,", ",1.0,")],
    ["nesting without end", "[".repeat(100_000)],
  ])("are refused with %s", (_, rows) => {
    expect(RequestRecorder.decode(encoded(rows))).toBeUndefined();
  });

  it("are refused with more requests than are kept, and past their bound unread", () => {
    const many = Array.from({ length: 4_097 }, (_, index) => [
      { ...asking, resource: { kind: "secret", path: `p${index}` } },
      ...rest,
    ]);
    expect(RequestRecorder.decode(encoded(many.slice(1)))?.recorded()).toHaveLength(4_096);
    expect(RequestRecorder.decode(encoded(many))).toBeUndefined();
    expect(RequestRecorder.decode(new Uint8Array(16_777_217))).toBeUndefined();
  });
});
