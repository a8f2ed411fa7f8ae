import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bindCall, type ToolDefinition } from "../../src/tools/index.ts";
import { failureOf, toolOf } from "./support.ts";

const TABLE = {
  command: ["/bin/deploy", "{ref}", "--note={note}", "{n}", "{{{dry}}}", "/srv/{place}/x"],
  parameters: {
    ref: { type: "string", pattern: "[\\w./-]*" },
    note: { type: "string", default: "none" },
    n: { type: "integer", min: -5, max: 1_000, default: 7 },
    dry: { type: "boolean", default: false },
    place: { type: "choice", choices: ["blue", "green"], default: "blue" },
  },
};
const DEPLOY = toolOf(TABLE);

function one(parameter: Readonly<Record<string, unknown>>, element = "{p}"): ToolDefinition {
  return toolOf({ command: ["/bin/true", element], parameters: { p: { type: "string", ...parameter } } });
}

const fault = (tool: ToolDefinition, given: Readonly<Record<string, string>>): string =>
  failureOf(() => bindCall(tool, given));

describe("bindCall", () => {
  it("fills in defaults, in canonical form and sorted by name", () => {
    const call = bindCall(DEPLOY, { ref: "main", n: "+007" });
    expect(Object.entries(call.arguments)).toEqual([
      ...[
        ["dry", "false"],
        ["n", "7"],
        ["note", "none"],
        ["place", "blue"],
        ["ref", "main"],
      ],
    ]);
    expect(call.argv).toEqual(["/bin/deploy", "main", "--note=none", "7", "{false}", "/srv/blue/x"]);
    expect(Object.isFrozen(call.arguments) && Object.isFrozen(call.argv)).toBe(true);
    expect(bindCall(DEPLOY, { ref: "main", n: "7" }).hash).toBe(call.hash);
  });

  it("keeps each value in the one argument it is for, whatever it holds", () => {
    const tool = one({ multiline: true });
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }), (value) => {
        fc.pre(!value.startsWith("-") && !/(?![\n\r\t])\p{Cc}|[\u202A-\u202E\u2066-\u2069]/u.test(value));
        expect(bindCall(tool, { p: value }).argv).toEqual(["/bin/true", value]);
      }),
    );
    for (const value of ["{p}", "{{p}}", "$(id)", "`id`", "a b", "'", '"', "*", ";", "|", "\\"]) {
      expect(bindCall(tool, { p: value }).argv[1]).toBe(value);
    }
  });

  it("has another hash for any other tool, argument or declaration", () => {
    const edits: readonly Readonly<Record<string, unknown>>[] = [
      { command: [...TABLE.command, "x"] },
      { command: TABLE.command.map((element) => element.replace("deploy", "deploy2")) },
      { directory: "/srv" },
      { environment: { A: "b" } },
      { environment: { A: "c" } },
      { secrets: { T: "a/b" } },
      { secrets: { T: "a/c" } },
      { user: 5, group: 5 },
      { user: "five", group: 5 },
      { sandbox: { kind: "bubblewrap" } },
      { sandbox: { kind: "bubblewrap", network: true } },
      { sandbox: { kind: "bubblewrap", read: ["/srv"] } },
      { sandbox: { kind: "bubblewrap", write: ["/srv"] } },
      { timeout: "5s" },
      { output_max: "1KiB" },
      { limits: { memory: "1MiB" } },
      { limits: { cpu: "1s" } },
      { limits: { processes: 7 } },
      { limits: { files: 7 } },
      { limits: { file_size: "1MiB" } },
      { allow_same_user: true },
    ];
    const hashes = [
      ...edits.map((edit) => bindCall(toolOf({ ...TABLE, ...edit }), { ref: "main" }).hash),
      ...["main", "mai", "main."].map((ref) => bindCall(DEPLOY, { ref }).hash),
      bindCall({ ...DEPLOY, name: "u" }, { ref: "main" }).hash,
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hashes.every((hash) => /^[0-9a-f]{64}$/.test(hash))).toBe(true);
    expect(bindCall(toolOf({ ...TABLE, description: "x" }), { ref: "main" }).hash).toBe(
      bindCall(DEPLOY, { ref: "main" }).hash,
    );
  });

  it("keeps one value from passing for two", () => {
    const two = toolOf({
      command: ["/bin/true", "{a}{b}"],
      parameters: { a: { type: "string" }, b: { type: "string" } },
    });
    expect(bindCall(two, { a: "x", b: "yz" }).hash).not.toBe(bindCall(two, { a: "xy", b: "z" }).hash);
  });

  it("refuses parameters that are not declared, those of JavaScript's objects too", () => {
    expect(fault(DEPLOY, { ref: "a", rev: "b" })).toBe(
      'tool.bad-argument: tool t has no parameter "rev" (it takes dry, n, note, place, ref)',
    );
    for (const name of ["__proto__", "constructor", "toString", ""]) {
      const given = JSON.parse(`{"ref":"a",${JSON.stringify(name)}:"x"}`);
      expect(fault(DEPLOY, given)).toContain(`tool.bad-argument: tool t has no parameter "${name}"`);
    }
    const named = toolOf({ command: ["/bin/true"], parameters: { constructor: { type: "string" } } });
    expect(fault(named, {})).toContain("argument constructor is missing");
    expect(bindCall(named, { constructor: "x" }).arguments).toEqual({ constructor: "x" });
  });

  it("refuses a missing one", () => {
    expect(fault(DEPLOY, {})).toBe("tool.bad-argument: argument ref is missing (it has no default)");
  });

  it.each([
    ...["a\nb", "a\rb", "a\0b", "a\tb", "\u001b[2J", "\u007f", "\u0085", "a\u2028b", "\ud800", "x\udc00y"],
    ...["\u202etxt.exe", "\u2066x"],
  ])("refuses %j in one line", (value) => {
    expect(fault(one({ pattern: "(?s:.*)" }), { p: value })).toContain(
      "tool.bad-argument: argument p does not fit: expected one line without control characters",
    );
  });

  it("lets several lines through where they are wanted, and nothing else that steers", () => {
    const tool = one({ multiline: true });
    expect(bindCall(tool, { p: "a\n\tb\r\n" }).argv[1]).toBe("a\n\tb\r\n");
    for (const value of ["a\0b", "\u001b[2J", "\ud800", "\u202ea"]) {
      expect(fault(tool, { p: value })).toContain("expected text without control characters");
    }
  });

  it("refuses what a program would take for an option", () => {
    const tool = one({});
    for (const value of ["-", "-rf", "--output=/etc/passwd", "--"]) {
      expect(fault(tool, { p: value })).toContain("expected a value that does not begin with -");
      expect(bindCall(one({ allow_dash: true }), { p: value }).argv[1]).toBe(value);
      expect(bindCall(one({}, "--note={p}"), { p: value }).argv[1]).toBe(`--note=${value}`);
    }
    expect(fault(one({ type: "integer" }), { p: "-9" })).toContain("does not begin with -");
    const behind = toolOf({
      command: ["/bin/true", "{a}{b}"],
      parameters: { a: { type: "string", pattern: "x?" }, b: { type: "string" } },
    });
    expect(fault(behind, { a: "", b: "--x" })).toContain("argument b does not fit");
    expect(bindCall(behind, { a: "x", b: "--x" }).argv[1]).toBe("x--x");
  });

  it("refuses to climb out of a path that the template begins", () => {
    const tool = one({}, "/srv/releases/{p}");
    for (const value of ["..", "../x", "a/../../x", "a/.."]) {
      expect(fault(tool, { p: value })).toContain("expected a value that does not climb with ..");
    }
    expect(bindCall(tool, { p: "a..b/...c" }).argv[1]).toBe("/srv/releases/a..b/...c");
    expect(fault(one({}, "/srv/.{p}"), { p: "./x" })).toContain("does not climb");
  });

  it("matches the whole value", () => {
    const tool = one({ pattern: "a|b" });
    expect(fault(tool, { p: "ab" })).toContain("expected a value that matches a|b");
    expect(bindCall(tool, { p: "b" }).argv[1]).toBe("b");
    expect(fault(one({ pattern: "a*" }), { p: "aab" })).toContain("tool.bad-argument");
    expect(bindCall(one({ pattern: "a*" }), { p: "" }).argv[1]).toBe("");
    expect(fault(one({}), { p: "" })).toContain("expected a value that is not empty");
  });

  it("is done with a pattern that takes others years", () => {
    const tool = one({ pattern: "(a+)+b", max_length: 4_096 });
    expect(fault(tool, { p: "a".repeat(4_000) })).toContain("expected a value that matches (a+)+b");
    expect(bindCall(tool, { p: "aab" }).argv[1]).toBe("aab");
  });

  it.each(["1.0", "1e3", "0x10", "", " 1", "1001", "-6", "9".repeat(20), "NaN", "٣"])(
    "refuses %j for a whole number",
    (value) => {
      expect(fault(DEPLOY, { ref: "a", n: value })).toContain(
        "argument n does not fit: expected a whole number",
      );
    },
  );

  it("refuses other words than true and false, and what is no choice", () => {
    expect(fault(DEPLOY, { ref: "a", dry: "yes" })).toContain(
      "argument dry does not fit: expected true or false",
    );
    expect(fault(DEPLOY, { ref: "a", place: "Blue" })).toContain("expected one of blue, green");
  });

  it("counts characters, and has a limit on all arguments together", () => {
    expect(bindCall(one({ max_length: 3 }), { p: "😀😀😀" }).argv[1]).toBe("😀😀😀");
    expect(fault(one({ max_length: 3 }), { p: "abcd" })).toContain("expected at most 3 characters");
    expect(fault(one({ max_length: 4_096 }), { p: "a".repeat(1_000_000) })).toContain(
      "expected a shorter value",
    );
    const names = Array.from({ length: 17 }, (_, index) => `p${index}`);
    const tool = toolOf({
      command: ["/bin/true"],
      parameters: Object.fromEntries(names.map((name) => [name, { type: "string", max_length: 4_096 }])),
    });
    const given = Object.fromEntries(names.map((name) => [name, "a".repeat(4_096)]));
    expect(fault(tool, given)).toContain("the arguments are larger than 65536 bytes together");
  });

  it("repeats no value", () => {
    const failure = fault(one({ pattern: "[0-9]+" }), { p: "hunter2" });
    expect(failure).not.toContain("hunter2");
  });
});
