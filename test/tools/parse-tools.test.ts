import { describe, expect, it } from "vitest";
import { parseTools } from "../../src/tools/index.ts";
import { CONFIG_FILE, failureOf, toolOf } from "./support.ts";

const COMMAND = { command: ["/usr/bin/true"] };
const faultOf = (table: Readonly<Record<string, unknown>>): string =>
  failureOf(() => toolOf({ ...COMMAND, ...table }));
const parameterFault = (table: Readonly<Record<string, unknown>>): string =>
  faultOf({ parameters: { p: { type: "string", ...table } } });

describe("parseTools", () => {
  it("fills in what a table leaves out", () => {
    expect(toolOf(COMMAND)).toEqual({
      ...{ name: "t", description: "", directory: "/", timeoutMs: 60_000, outputBytesMax: 1_048_576 },
      ...{ concurrency: 1, needsApproval: false, groups: [], environment: {}, secrets: {}, parameters: [] },
      ...{ account: undefined, sandbox: undefined, mayRunAsDaemon: false },
      command: [{ template: "/usr/bin/true", parts: [{ kind: "text", text: "/usr/bin/true" }] }],
      limits: {
        ...{ memoryBytes: undefined, cpuSeconds: undefined, processes: undefined },
        ...{ openFiles: undefined, fileSizeBytes: undefined },
      },
    });
    expect(parseTools(undefined, { configFile: CONFIG_FILE }).size).toBe(0);
  });

  it("reads everything that a table may say, and freezes it", () => {
    const tool = toolOf({
      ...{ description: "d", command: ["/bin/deploy", "--ref={ref}", "{{{n}}}"], directory: "/srv" },
      ...{ timeout: "5m", output_max: "2MiB", concurrency: 4n, approval: true, groups: ["ops"] },
      ...{ environment: { MODE: "a\nb" }, secrets: { TOKEN: "shared/deploy/token" } },
      ...{ user: "nobody", group: 65_534, allow_same_user: true },
      sandbox: { kind: "bubblewrap", read: ["/srv/a"], write: ["/srv/b"], network: true },
      limits: { memory: "64MiB", cpu: "10s", processes: 8, files: 64, file_size: "1GiB" },
      parameters: {
        ref: { type: "string", pattern: "[a-z]+", max_length: 40, default: "main", description: "which" },
        n: { type: "integer", min: -1, max: 3, default: 2, allow_dash: true },
        dry: { type: "boolean", default: false },
        where: { type: "choice", choices: ["blue", "green"] },
      },
    });
    expect(tool).toMatchObject({
      ...{
        timeoutMs: 300_000,
        outputBytesMax: 2_097_152,
        concurrency: 4,
        needsApproval: true,
        groups: ["ops"],
      },
      ...{ account: { user: "nobody", group: 65_534 }, mayRunAsDaemon: true, environment: { MODE: "a\nb" } },
      sandbox: { kind: "bubblewrap", read: ["/srv/a"], write: ["/srv/b"], hasNetwork: true },
      limits: {
        ...{ memoryBytes: 67_108_864, cpuSeconds: 10, processes: 8, openFiles: 64 },
        fileSizeBytes: 1_073_741_824,
      },
    });
    expect(tool.parameters.map(({ name, default: value }) => [name, value])).toEqual([
      ...[
        ["dry", "false"],
        ["n", "2"],
        ["ref", "main"],
        ["where", undefined],
      ],
    ]);
    expect(tool.command[2]?.parts).toEqual([
      ...[
        { kind: "text", text: "{" },
        { kind: "parameter", name: "n" },
        { kind: "text", text: "}" },
      ],
    ]);
    expect(thawed(tool)).toEqual([]);
  });

  it("names the key and what is known in its place", () => {
    expect(faultOf({ tiemout: "5s" })).toBe(
      `config.invalid: tools.t.tiemout: unknown key (known keys: description, command, directory, timeout, ` +
        `output_max, concurrency, approval, groups, environment, secrets, parameters, user, group, sandbox, limits, ` +
        `allow_same_user (in ${CONFIG_FILE}))`,
    );
    expect(parameterFault({ patern: "x" })).toContain(
      "tools.t.parameters.p.patern: unknown key (known keys: type,",
    );
    expect(parameterFault({ min: 1 })).toContain("tools.t.parameters.p.min: unknown key");
    expect(faultOf({ sandbox: { kind: "bubblewrap", reads: [] } })).toContain(
      "tools.t.sandbox.reads: unknown key",
    );
    expect(faultOf({ "a b\n": 1 })).toContain('tools.t."a b\\n": unknown key');
  });

  it.each<[Readonly<Record<string, unknown>>, string]>([
    [{ command: "ls" }, "command: not an array"],
    [{ command: [] }, "command: it names no program"],
    [{ command: ["ls"] }, "command: it names no program"],
    [{ command: ["/bin/../bin/ls"] }, "command: it names no program"],
    [{ command: ["/bin/{p}"], parameters: { p: { type: "string" } } }, "command: it names no program"],
    [{ command: ["/bin/ls", 1] }, "command: not a text"],
    [{ command: ["/bin/ls", "a\0b"] }, "command: it has control characters"],
    [{ command: ["/bin/ls", "{nobody}"] }, "command: command element 2 names an unknown parameter"],
    [{ command: ["/bin/ls", "{"] }, "command: command element 2 has a brace that means nothing"],
    [{ command: ["/bin/ls", "{A}"] }, "command: command element 2 has a brace that means nothing"],
    [{ command: ["/bin/ls", "}"] }, "command: command element 2 has a brace that means nothing"],
    [{ command: ["/bin/ls", ...Array.from({ length: 64 }, () => "x")] }, "command: too many"],
    [{ directory: "srv" }, "directory: not a usable path"],
    [{ directory: "/srv/../etc" }, "directory: not a usable path"],
    [{ timeout: 30 }, "timeout: not a text"],
    [{ timeout: "30" }, "timeout: not a duration"],
    [{ timeout: "11m" }, "timeout: too long"],
    [{ output_max: "0B" }, "output_max: not a size"],
    [{ output_max: "65MiB" }, "output_max: too large"],
    [{ concurrency: 33 }, "concurrency: not a whole number in range"],
    [{ concurrency: 1.5 }, "concurrency: not a whole number in range"],
    [{ approval: "yes" }, "approval: neither true nor false"],
    [{ groups: ["a b"] }, "groups: not a name"],
    [{ environment: { "A=B": "c" } }, 'environment."A=B": not a variable\'s name'],
    [{ environment: { GATEHOUSE_CALL: "x" } }, "environment.GATEHOUSE_CALL: it is set for every call"],
    [{ environment: { A: "x\0" } }, "environment.A: it has control characters"],
    [{ environment: [] }, "environment: not a table"],
    [{ environment: { A: "x" }, secrets: { A: "a/b" } }, "secrets.A: in environment too"],
    [{ user: "root; rm" }, "user: not a name"],
    [{ user: -1 }, "user: not a whole number in range"],
    [{ group: "nogroup" }, "group: it has no user"],
    [{ sandbox: { kind: "chroot" } }, "sandbox.kind: not a kind of sandbox"],
    [{ sandbox: { kind: "bubblewrap", read: ["/"] } }, "sandbox.read: not a usable path"],
    [{ sandbox: { kind: "bubblewrap", read: ["/srv/"] } }, "sandbox.read: not a usable path"],
    [{ sandbox: { kind: "bubblewrap", write: ["/srv/../root"] } }, "sandbox.write: not a usable path"],
    [
      { sandbox: { kind: "bubblewrap", write: ["/srv"], read: ["/srv/x"] } },
      "sandbox.write: another path lies inside of one",
    ],
    [
      { sandbox: { kind: "bubblewrap", write: ["/srv"], read: ["/srv"] } },
      "sandbox.write: a path is in read too",
    ],
    [{ limits: { cpu: "1500ms" } }, "limits.cpu: not whole seconds"],
    [{ limits: { processes: 0 } }, "limits.processes: not a whole number in range"],
    [{ parameters: { P: { type: "string" } } }, "parameters.P: not a parameter's name"],
    [{ parameters: { p: {} } }, "parameters.p.type: missing"],
    [{ parameters: { p: { type: "path" } } }, "parameters.p.type: unknown type"],
    [{ parameters: { p: 1 } }, "parameters.p: not a table"],
  ])("refuses %j", (table, message) => {
    expect(faultOf(table)).toContain(`config.invalid: tools.t.${message}`);
  });

  it.each<[Readonly<Record<string, unknown>>, string]>([
    [{ pattern: "[" }, "pattern: not a regular expression"],
    [{ pattern: "a)|(b" }, "pattern: not a regular expression"],
    [{ pattern: "(?=a)a" }, "pattern: not a regular expression"],
    [{ pattern: "(a{0,100}){0,10}" }, "pattern: too complicated"],
    [{ pattern: "[a-z]+", default: "A" }, "default: not a value of this parameter"],
    [{ default: ["a"] }, "default: not a value of this parameter"],
    [{ max_length: 4_097 }, "max_length: not a whole number in range"],
    [{ type: "integer", min: 3, max: 2 }, "min: it is above max"],
    [{ type: "integer", default: "x" }, "default: not a value of this parameter"],
    [{ type: "choice" }, "choices: there are none"],
    [{ type: "choice", choices: ["a", "a"] }, "choices: one stands there twice"],
    [{ type: "choice", choices: ["a"], default: "b" }, "default: not a value of this parameter"],
  ])("refuses a parameter of %j", (table, message) => {
    expect(parameterFault(table)).toContain(`config.invalid: tools.t.parameters.p.${message}`);
  });

  it("refuses a default that every call would be refused for", () => {
    const parameters = { p: { type: "string", default: "-v" } };
    expect(faultOf({ command: ["/bin/ls", "{p}"], parameters })).toContain(
      "tools.t.parameters.p: a value of it",
    );
    expect(faultOf({ command: ["/bin/ls", "x{p}"], parameters })).toBe("no error");
  });

  it("refuses a secret for a variable that decides which code runs, and repeats no value", () => {
    for (const name of ["LD_PRELOAD", "NODE_OPTIONS", "PATH", "BASH_ENV", "GIT_SSH_COMMAND"]) {
      expect(faultOf({ secrets: { [name]: "a/b" } })).toContain(
        `tools.t.secrets.${name}: it decides which code runs`,
      );
    }
    for (const path of [
      "hunter2 hunter2",
      "/absolute",
      "a/../b",
      "a//b",
      "trailing/",
      "...",
      "a".repeat(129),
    ]) {
      const fault = faultOf({ secrets: { TOKEN: path === "..." ? "." : path } });
      expect(fault).toContain("config.invalid: tools.t.secrets.TOKEN: not a secret's path");
      expect(fault).not.toContain(path);
    }
  });

  it("has a limit on everything that is counted", () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `n${index}`);
    const tableOf = (count: number, value: unknown) =>
      Object.fromEntries(many(count).map((name) => [name, value]));
    expect(faultOf({ parameters: tableOf(33, { type: "string" }) })).toContain("parameters: too many");
    expect(faultOf({ secrets: tableOf(17, "a/b") })).toContain("secrets: too many variables");
    expect(faultOf({ environment: tableOf(65, "x") })).toContain("environment: too many variables");
    expect(faultOf({ groups: many(17) })).toContain("groups: too many");
    const tools = tableOf(257, COMMAND);
    expect(failureOf(() => parseTools(tools, { configFile: CONFIG_FILE }))).toContain(
      "tools: too many tools",
    );
    expect(failureOf(() => parseTools({ "a b": COMMAND }, { configFile: CONFIG_FILE }))).toContain(
      "not a tool's name",
    );
    expect(failureOf(() => parseTools([], { configFile: CONFIG_FILE }))).toContain("tools: not a table");
  });
});

/** Paths to what is not frozen. */
function thawed(value: unknown, path = "tool"): readonly string[] {
  if (typeof value !== "object" || value === null) return [];
  const inside = Object.entries(value).flatMap(([key, member]) => thawed(member, `${path}.${key}`));
  return Object.isFrozen(value) ? inside : [path, ...inside];
}
