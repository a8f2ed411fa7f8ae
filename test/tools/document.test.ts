import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyPatch, isGatehouseError, type JsonValue, patchBetween } from "../../src/core/index.ts";
import {
  type Approval,
  decideApproval,
  approvalDocument as documentOf,
  requestApproval,
} from "../../src/tools/index.ts";
import { failureOf } from "./support.ts";

const AT = 1_700_000_000_000;
const ask = (at: number, values: Readonly<Record<string, string>> = { ref: "main" }): Approval =>
  requestApproval({
    ...{ tool: "deploy", arguments: values, argumentsHash: "ab".repeat(32), policyVersion: 7 },
    ...{ requestedBy: "asker", at },
  });

const approvalDocument = (approvals: readonly Approval[]) => documentOf(approvals, (id) => `${id}'s`);

describe("approvalDocument", () => {
  it("shows what an approver has to know", () => {
    const asked = ask(AT);
    const decided = decideApproval(ask(AT + 1), { by: "d", verdict: "denied", at: AT + 2, reason: "no" });
    const document = approvalDocument([decided, asked]);
    expect(document).toEqual({
      ...{ version: 1, more: 0 },
      approvals: {
        [asked.id]: {
          ...{
            tool: "deploy",
            arguments: { ref: "main" },
            argumentsHash: "ab".repeat(32),
            requestedBy: "asker",
            requestedByName: "asker's",
          },
          ...{ requestedAt: AT, expiresAt: AT + 600_000, state: "pending" },
        },
        [decided.id]: expect.objectContaining({
          state: "denied",
          decidedBy: "d",
          decidedAt: AT + 2,
          reason: "no",
        }),
      },
    });
    expect(Object.keys(document.approvals)).toEqual([asked.id, decided.id]);
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
    expect(approvalDocument([])).toEqual({ version: 1, approvals: {}, more: 0 });
  });

  it("shows the oldest 64, and says how many more there are", () => {
    const all = Array.from({ length: 70 }, (_, index) => ask(AT + 70 - index));
    const document = approvalDocument(all);
    expect(document.more).toBe(6);
    expect(new Set(Object.keys(document.approvals))).toEqual(new Set(all.slice(6).map(({ id }) => id)));
  });

  it("has 256 KiB at most, and lets a small one past a large one", () => {
    const large = Array.from({ length: 6 }, (_, index) => ask(AT + index, { text: "\n".repeat(32_000) }));
    const document = approvalDocument([...large, ask(AT + 9)]);
    expect(Buffer.byteLength(JSON.stringify(document))).toBeLessThanOrEqual(262_144);
    expect([Object.keys(document.approvals).length, document.more]).toEqual([5, 2]);
  });
});

const names = fc.oneof(
  fc.string({ maxLength: 4 }),
  fc.constantFrom("__proto__", "constructor", "prototype", "toString", "a/b", "m~n", "", "0", "-", "~1"),
);

const { value: json } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    ...[fc.string({ maxLength: 5 }), fc.integer(), fc.boolean(), fc.constant(null)],
    fc.array(tie("value"), { maxLength: 4 }),
    fc.array(fc.tuple(names, tie("value")), { maxLength: 4 }).map((pairs) => Object.fromEntries(pairs)),
  ),
}));

describe("a patch", () => {
  it("leads from any document to any other", () => {
    fc.assert(
      fc.property(json, json, (before, after) => {
        const patch = JSON.parse(JSON.stringify(patchBetween(before, after)));
        const text = JSON.stringify(before);
        expect(same(applyPatch(before, patch), after)).toBe(true);
        expect(JSON.stringify(before)).toBe(text);
      }),
      { numRuns: 1_000 },
    );
  });

  it("says what changed, and no more", () => {
    const [first, second, third] = [ask(AT), ask(AT + 1), ask(AT + 2)];
    const decided = decideApproval(second, { by: "d", verdict: "approved", at: AT + 3 });
    const [before, after] = [approvalDocument([first, second]), approvalDocument([decided, third])];
    const entry = after.approvals[third.id];
    expect(new Set(patchBetween(before, after))).toEqual(
      new Set([
        { op: "remove", path: `/approvals/${first.id}` },
        { op: "replace", path: `/approvals/${second.id}/expiresAt`, value: AT + 300_003 },
        { op: "replace", path: `/approvals/${second.id}/state`, value: "approved" },
        { op: "add", path: `/approvals/${second.id}/decidedBy`, value: "d" },
        { op: "add", path: `/approvals/${second.id}/decidedAt`, value: AT + 3 },
        { op: "add", path: `/approvals/${third.id}`, value: entry },
      ]),
    );
    expect(patchBetween(after, after)).toEqual([]);
  });

  it("follows RFC 6902 in arrays", () => {
    const apply = (op: string, path: string): unknown => applyPatch({ a: [1, 2] }, [{ op, path, value: 9 }]);
    expect(apply("add", "/a/0")).toEqual({ a: [9, 1, 2] });
    expect(apply("add", "/a/2")).toEqual({ a: [1, 2, 9] });
    expect(apply("add", "/a/-")).toEqual({ a: [1, 2, 9] });
    expect(apply("replace", "/a/1")).toEqual({ a: [1, 9] });
    expect(apply("remove", "/a/0")).toEqual({ a: [2] });
    expect(applyPatch([[1]], [{ op: "add", path: "/0/0", value: 0 }])).toEqual([[0, 1]]);
    for (const path of ["/a/3", "/a/01", "/a/-1", "/a/1e0", "/a/x", "/a/", "/a/0/b"]) {
      expect(failureOf(() => apply("add", path))).toContain("rpc.bad-message");
    }
    for (const path of ["/a/2", "/a/-"])
      expect(failureOf(() => apply("replace", path))).toContain("rpc.bad-message");
  });

  it.each<[unknown, string]>([
    [{}, "a patch is an array"],
    ["[]", "a patch is an array"],
    [[null], "an operation is an object"],
    [[{ op: "add", value: 1 }], "an operation has a path"],
    [[{ op: "move", path: "/a", from: "/b" }], "an operation is add, replace or remove"],
    [[{ op: "test", path: "/a", value: 1 }], "an operation is add, replace or remove"],
    [[{ op: "add", path: "/a" }], "an operation's value is missing"],
    [[{ op: "add", path: "/a", value: Number.NaN }], "an operation's value is missing, not JSON"],
    [[{ op: "add", path: "/a", value: undefined }], "an operation's value is missing"],
    [[{ op: "add", path: "a", value: 1 }], "a path is not a JSON Pointer"],
    [[{ op: "add", path: "/a~", value: 1 }], "a path is not a JSON Pointer"],
    [[{ op: "add", path: "/a~2", value: 1 }], "a path is not a JSON Pointer"],
    [[{ op: "add", path: `/${"a".repeat(1_024)}`, value: 1 }], "a path is not a JSON Pointer"],
    [[{ op: "replace", path: "/b", value: 1 }], "a path leads nowhere"],
    [[{ op: "remove", path: "/b" }], "a path leads nowhere"],
    [[{ op: "add", path: "/b/c", value: 1 }], "a path leads nowhere"],
    [[{ op: "replace", path: "/toString", value: 1 }], "a path leads nowhere"],
    [[{ op: "add", path: "/__proto__/x", value: 1 }], "a path leads nowhere"],
    [[{ op: "add", path: "/a/b", value: 1 }], "a path leads through a value that has no members"],
    [[{ op: "remove", path: "" }], "the whole document cannot be removed"],
    [
      Array.from({ length: 1_001 }, () => ({ op: "add", path: "/a", value: 1 })),
      "the patch has too many operations",
    ],
    [[{ op: "add", path: "/b", value: "x".repeat(262_144) }], "the document would be too large"],
    [
      [{ op: "add", path: "/b", value: nested(33) }],
      "an operation's value is missing, not JSON, or too deep",
    ],
    [[{ op: "add", path: "/b", value: nested(32) }], "the document would be too deep"],
  ])("of %j is refused", (patch, why) => {
    expect(failureOf(() => applyPatch({ a: 1 }, patch))).toContain(`rpc.bad-message: ${why}`);
  });

  it("that fails changes nothing", () => {
    fc.assert(
      fc.property(json, json, (before, after) => {
        const text = JSON.stringify(before);
        const patch = [...patchBetween(before, after), { op: "remove", path: "/nowhere/at/all" }];
        const failure = catchError(() => applyPatch(before, patch));
        expect(isGatehouseError(failure, "rpc.bad-message")).toBe(true);
        expect(JSON.stringify(before)).toBe(text);
      }),
    );
  });

  it("takes the names of JavaScript's prototypes for data", () => {
    const own = Object.getOwnPropertyNames(Object.prototype);
    const value = JSON.parse('{"__proto__":{"isAdmin":true},"constructor":{"prototype":{"isAdmin":true}}}');
    const patch = [
      ...[
        { op: "add", path: "/__proto__", value },
        { op: "add", path: "/__proto__/__proto__/x", value: 1 },
      ],
      ...[
        { op: "add", path: "/constructor", value: {} },
        { op: "add", path: "/constructor/prototype", value: [] },
      ],
    ];
    const result = applyPatch({}, patch);
    expect(JSON.stringify(result)).toBe(
      '{"__proto__":{"__proto__":{"isAdmin":true,"x":1},"constructor":{"prototype":{"isAdmin":true}}},' +
        '"constructor":{"prototype":[]}}',
    );
    expect(Object.getPrototypeOf(result)).toBe(Object.prototype);
    expect(Object.getOwnPropertyNames(Object.prototype)).toEqual(own);
    expect(Reflect.get({}, "isAdmin")).toBeUndefined();
    expect(JSON.stringify(applyPatch(result, [{ op: "remove", path: "/__proto__" }]))).toBe(
      '{"constructor":{"prototype":[]}}',
    );
  });
});

/** By what their texts would say, whatever the order of members. */
function same(a: JsonValue, b: JsonValue): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: JsonValue): string {
  return JSON.stringify(value, (_, member: unknown) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.entries(member).toSorted(([a], [b]) => (a < b ? -1 : 1))
      : member,
  );
}

function nested(depth: number): JsonValue {
  let value: JsonValue = 1;
  for (let level = 0; level < depth; level += 1) value = [value];
  return value;
}

function catchError(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}
