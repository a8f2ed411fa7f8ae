import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatListenAddress,
  loadConfig,
  parseDuration,
  parseListenAddress,
} from "../../src/config/index.ts";
import { isGatehouseError } from "../../src/core/index.ts";

const DEFAULT_LIMITS = {
  calls: { count: 2_000, periodMs: 1_000 },
  denials: { count: 20, periodMs: 1_000 },
  ownFolderBytes: 67_108_864,
  actions: new Map([["tool:run", { count: 60, periodMs: 60_000 }]]),
  said: new Set(),
};

const load = (env: Record<string, string>, flags = {}) =>
  loadConfig({ flags, env, userHome: "/home/ada", hostName: "kitchen.example" });

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isGatehouseError(error)) return `${error.code}: ${error.message} (${error.hint})`;
    throw error;
  }
  return "no error";
}

describe("parseDuration", () => {
  it.each([
    ["500ms", 500],
    ["120s", 120_000],
    ["2m", 120_000],
    ["1h", 3_600_000],
    ["30d", 2_592_000_000],
  ])("reads %s as %d ms", (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });

  it.each(["", "120", "0s", "-1s", "1.5s", "2 m", "2m ", "1w", "9999d", "١s"])("refuses %j", (text) => {
    expect(codeOf(() => parseDuration(text))).toContain("usage.bad-argument: not a duration");
  });
});

describe("parseListenAddress", () => {
  it.each([
    ["127.0.0.1:0", "127.0.0.1", 0],
    ["127.0.0.1", "127.0.0.1", 7443],
    ["[::1]:7443", "::1", 7443],
    ["[::]", "::", 7443],
    ["door.example:65535", "door.example", 65535],
  ])("reads %s", (text, host, port) => {
    expect(parseListenAddress(text)).toEqual({ host, port });
  });

  it.each([
    ...["", ":7443", "::1", "::1:7443", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.256:1"],
    ...["[127.0.0.1]:1", "[::1", "a b:1", "host:1:2", "-x:1", "http://host:1"],
  ])("refuses %j", (text) => {
    expect(codeOf(() => parseListenAddress(text))).toContain("usage.bad-argument: not an address");
  });

  it("reads back what it formats", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.nat(65_535), (host, port) => {
        expect(parseListenAddress(formatListenAddress({ host, port }))).toEqual({ host, port });
      }),
    );
  });
});

describe("loadConfig", () => {
  it("falls back to the XDG directories of the user", () => {
    expect(load({})).toEqual({
      home: "/home/ada/.local/state/gatehouse",
      keyDir: "/home/ada/.config/gatehouse/keys",
      listen: [{ host: "127.0.0.1", port: 7443 }],
      name: "kitchen",
      isNameGiven: false,
      timeoutMs: 30_000,
      certificateLifetimeMs: 30 * 86_400_000,
      logLevel: undefined,
      isDebug: false,
      configFile: "/home/ada/.local/state/gatehouse/config.toml",
      limits: DEFAULT_LIMITS,
      tools: undefined,
      origins: expect.objectContaining({ home: "default", listen: "default", name: "default" }),
    });
    const { home, keyDir } = load({ XDG_STATE_HOME: "/s", XDG_CONFIG_HOME: "relative" });
    expect([home, keyDir]).toEqual(["/s/gatehouse", "/home/ada/.config/gatehouse/keys"]);
  });

  it("puts a flag before a variable before the default", () => {
    const env = { GATEHOUSE_HOME: "/env", GATEHOUSE_LISTEN: "127.0.0.1:1, [::1]:2", GATEHOUSE_NAME: "env" };
    expect(load(env).listen).toEqual([
      { host: "127.0.0.1", port: 1 },
      { host: "::1", port: 2 },
    ]);
    const flags = { home: "/flag", listen: ["10.0.0.1:3"], name: "flag", timeout: "5s" };
    expect(load(env, flags)).toMatchObject({
      home: "/flag",
      listen: [{ host: "10.0.0.1", port: 3 }],
      name: "flag",
      timeoutMs: 5_000,
    });
  });

  it("serves gRPC where it is told to, or not at all, and says nothing of it by itself", () => {
    expect(load({}).grpc).toBeUndefined();
    expect(load({ GATEHOUSE_GRPC: "off" }).grpc).toBe("off");
    expect(load({ GATEHOUSE_GRPC: "off" }, { grpc: "[::1]:9" }).grpc).toEqual([{ host: "::1", port: 9 }]);
    expect(codeOf(() => load({}, { grpc: "no:where" }))).toContain("usage.bad-argument");
  });

  it("names the variable that was probably meant", () => {
    expect(codeOf(() => load({ GATEHOUSE_HOEM: "/x" }))).toBe(
      "config.invalid: unknown environment variable GATEHOUSE_HOEM (did you mean GATEHOUSE_HOME?)",
    );
    expect(codeOf(() => load({ GATEHOUSE_FAVOURITE_COLOUR: "red" }))).toContain(
      "known ones: GATEHOUSE_HOME,",
    );
  });

  it("says which variable holds the bad value", () => {
    expect(codeOf(() => load({ GATEHOUSE_TIMEOUT: "soon" }))).toContain(
      'config.invalid: GATEHOUSE_TIMEOUT: not a duration: "soon"',
    );
    expect(codeOf(() => load({ GATEHOUSE_LOG_LEVEL: "loud" }))).toContain("one of debug, info, warn, error");
  });

  it("refuses to keep the key in the home that it opens", () => {
    expect(codeOf(() => load({ GATEHOUSE_HOME: "/h", GATEHOUSE_KEY_DIR: "/h/keys" }))).toContain(
      "config.invalid",
    );
    expect(load({ GATEHOUSE_HOME: "/h", GATEHOUSE_KEY_DIR: "/h-keys" }).keyDir).toBe("/h-keys");
  });

  it.each(["", "x".repeat(65), "two\nlines", "\u202eevil"])("refuses the name %j", (name) => {
    expect(codeOf(() => load({}, { name }))).toContain("usage.bad-argument: not a name");
  });

  it("takes from the machine's own name what can be a name", () => {
    const named = (hostName: string) =>
      loadConfig({ flags: {}, env: {}, userHome: "/home/ada", hostName }).name;
    expect([
      named("kitchen"),
      named("küche.local"),
      named(""),
      named("\u202e"),
      named("x".repeat(300)).length,
    ]).toEqual(["kitchen", "kche", "gatehouse", "gatehouse", 64]);
  });

  it("cannot be changed afterwards", () => {
    expect(Object.isFrozen(load({})) && Object.isFrozen(load({}).listen)).toBe(true);
  });
});
