import { describe, expect, it } from "vitest";
import { type Config, loadConfig } from "../../src/config/index.ts";
import { isGatehouseError } from "../../src/core/index.ts";

const PATH = "/h/config.toml";

function load(text: string, env: Record<string, string> = {}, flags = {}): Config {
  const sources = { flags: { home: "/h", ...flags }, env, userHome: "/home/ada", hostName: "kitchen" };
  return loadConfig(sources, { path: PATH, text });
}

function refusal(text: string): string {
  try {
    load(text);
    return "no error";
  } catch (error) {
    if (isGatehouseError(error)) return `${error.code}: ${error.message} (${error.hint ?? ""})`;
    throw error;
  }
}

describe("a configuration file", () => {
  it("comes before the defaults, and after variables and flags", () => {
    const text = 'name = "file"\ntimeout = "5s"\nlisten = ["127.0.0.1:1", "[::1]:2"]\nlog_level = "warn"';
    expect(load(text)).toMatchObject({
      ...{ name: "file", timeoutMs: 5_000, logLevel: "warn" },
      listen: [
        { host: "127.0.0.1", port: 1 },
        { host: "::1", port: 2 },
      ],
    });
    expect(load(text, { GATEHOUSE_NAME: "variable" }).name).toBe("variable");
    const flagged = load(text, { GATEHOUSE_NAME: "variable" }, { name: "flag" });
    expect(flagged.name).toBe("flag");
    expect(flagged.origins).toMatchObject({ name: "flag", home: "flag", timeout: "file", debug: "default" });
  });

  it("is refused with an unknown key, the nearest one named", () => {
    expect(refusal('nmae = "x"')).toBe(`config.invalid: ${PATH}: unknown key "nmae" (did you mean name?)`);
    expect(refusal('home = "/x"')).toContain('unknown key "home"');
    expect(refusal('[limits]\ncals = "1/s"')).toContain('limits: unknown key "cals" (did you mean calls?)');
  });

  it("is refused with a value of another kind or form, its place named", () => {
    expect(refusal("timeout = 30")).toContain(`${PATH}: timeout: a string is expected`);
    expect(refusal('timeout = "soon"')).toContain(`${PATH}: timeout: not a duration: "soon"`);
    expect(refusal('[limits.actions]\n"tool:run" = "fast"')).toContain(
      'limits.actions."tool:run": not a rate: "fast"',
    );
    expect(refusal("limits = 3")).toContain("limits: a table is expected");
    expect(refusal('[limits]\nown_folder = "3"')).toContain("limits.own_folder: not a size");
  });

  it("that is no TOML is refused by line and column, without a word of what stands there", () => {
    const failure = refusal('name = "x"\npassword = hunter2');
    expect(failure).toContain(`config.invalid: ${PATH}:2:12:`);
    expect(failure).not.toContain("hunter2");
  });

  it("says how much a device may ask for; what it leaves out stays as it is", () => {
    const { limits } = load('[limits]\ncalls = "200/s"\n[limits.actions]\n"secret:reveal" = "10/m"');
    expect(limits).toMatchObject({ calls: { count: 200, periodMs: 1_000 }, denials: { count: 20 } });
    expect(limits.actions.get("secret:reveal")).toEqual({ count: 10, periodMs: 60_000 });
    expect(limits.actions.get("tool:run")).toEqual({ count: 60, periodMs: 60_000 });
    expect([...limits.said]).toEqual(["limits.calls", 'limits.actions."secret:reveal"']);
  });

  it("hands its tools on as they were read", () => {
    expect(load('[tools.deploy]\ncommand = ["/bin/true"]').tools).toEqual({
      deploy: { command: ["/bin/true"] },
    });
  });
});
