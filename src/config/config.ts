/**
 * Flags before environment before file before defaults, checked once, into one frozen value.
 *
 * | variable | key in the file | meaning | default |
 * | --- | --- | --- | --- |
 * | `GATEHOUSE_HOME` | | the install's directory | `$XDG_STATE_HOME/gatehouse` |
 * | `GATEHOUSE_KEY_DIR` | | where key-encryption keys lie | `$XDG_CONFIG_HOME/gatehouse/keys` |
 * | `GATEHOUSE_CONFIG` | | the file | `config.toml` in the home, when there is one |
 * | `GATEHOUSE_LISTEN` | `listen` | addresses to bind; in the variable separated by commas | `127.0.0.1:7443` |
 * | `GATEHOUSE_GRPC` | `grpc` | where to serve gRPC over TCP, as `listen`, or `off` | where `listen` says |
 * | `GATEHOUSE_NAME` | `name` | what this gatehouse or device calls itself | the host's name |
 * | `GATEHOUSE_TIMEOUT` | `timeout` | how long a call may take, as `30s` | 30 s |
 * | `GATEHOUSE_CERTIFICATE_LIFETIME` | `certificate_lifetime` | how long certificates are good, from `1h` to `365d`; renewed at half of it | 30 d |
 * | `GATEHOUSE_LOG_LEVEL` | `log_level` | `debug`, `info`, `warn` or `error` | `info`; `warn` on a terminal |
 * | `GATEHOUSE_DEBUG` | | `1` prints stacks of unexpected errors | off |
 * | | `limits` | see `limits-table.ts` | |
 * | | `tools` | see `src/tools` | none |
 */

import { isAbsolute, join, resolve } from "node:path";
import { GatehouseError, LIMITS } from "../core/index.ts";
import { atPlace, type ConfigFile, readToml, refuseUnknownKeys, type Table, textAt } from "./config-file.ts";
import { parseDuration } from "./duration.ts";
import { DEFAULT_DEVICE_LIMITS, type DeviceLimits, parseDeviceLimits } from "./limits-table.ts";
import { type ListenAddress, parseListenAddress } from "./listen-address.ts";
import { nearestName } from "./nearest.ts";

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Config {
  /** Absolute. */
  readonly home: string;
  /** Absolute; never inside `home`. */
  readonly keyDir: string;
  /** At least one. */
  readonly listen: readonly ListenAddress[];
  /** Undefined: where `listen` says, over TCP. */
  readonly grpc: readonly ListenAddress[] | "off" | undefined;
  /** 1 to 64 bytes. */
  readonly name: string;
  /** False when `name` is the host's, for want of a better one. */
  readonly isNameGiven: boolean;
  readonly timeoutMs: number;
  /** Of devices' certificates and the gatehouse's own. */
  readonly certificateLifetimeMs: number;
  readonly logLevel: LogLevel | undefined;
  readonly isDebug: boolean;
  /** Where it is looked for; absolute. */
  readonly configFile: string;
  readonly limits: DeviceLimits;
  /** The `tools` table as it was read, for who knows tools; undefined when there is none. */
  readonly tools: unknown;
  /** Where each setting came from. */
  readonly origins: Readonly<Record<SettingName, Origin>>;
}

export type SettingName = (typeof SETTINGS)[number];
export type Origin = "flag" | "variable" | "file" | "default";

/** What the command line said; unset means that the environment or the default decides. */
export interface ConfigFlags {
  readonly home?: string | undefined;
  readonly listen?: readonly string[] | undefined;
  readonly grpc?: string | undefined;
  readonly name?: string | undefined;
  readonly timeout?: string | undefined;
}

export interface ConfigSources {
  readonly flags: ConfigFlags;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The user's home directory, absolute. */
  readonly userHome: string;
  /** What this machine calls itself. */
  readonly hostName: string;
}

const SETTINGS = [
  ...["home", "key_dir", "config", "listen", "grpc", "name", "timeout", "certificate_lifetime", "log_level"],
  "debug",
] as const;
const ALL_DEFAULT = Object.freeze({
  ...{
    home: "default",
    key_dir: "default",
    config: "default",
    listen: "default",
    grpc: "default",
    name: "default",
  },
  ...{ timeout: "default", certificate_lifetime: "default", log_level: "default", debug: "default" },
} satisfies Record<SettingName, Origin>);
/** What a file may say. */
const FILE_KEYS = [
  "listen",
  "grpc",
  "name",
  "timeout",
  "certificate_lifetime",
  "log_level",
  "limits",
  "tools",
] as const;

const HOUR_MS = 3_600_000;
const CERTIFICATE_LIFETIME_MS_MAX = 365 * 24 * HOUR_MS;
const PREFIX = "GATEHOUSE_";

/** Where the file is, and whether somebody asked for it: one that is not there then is an error. Both paths absolute. */
export function locateConfig(sources: ConfigSources): {
  readonly home: string;
  readonly path: string;
  readonly isAskedFor: boolean;
} {
  const { flags, env, userHome } = sources;
  refuseUnknown(env);
  const asked = variableIn(env, "config");
  const home = resolve(
    flags.home ?? variableIn(env, "home") ?? xdg(env["XDG_STATE_HOME"], join(userHome, ".local/state")),
  );
  return {
    home,
    path: asked === undefined ? join(home, "config.toml") : resolve(asked),
    isAskedFor: asked !== undefined,
  };
}

/**
 * `file` is what lies where `locateConfig` says, if anything does.
 * @throws GatehouseError `usage.bad-argument` for a flag's value, `config.invalid` for an unknown `GATEHOUSE_` variable or
 * key (the hint names the nearest one) and for a value of one.
 */
export function loadConfig(sources: ConfigSources, file?: ConfigFile): Config {
  const { flags, env, userHome, hostName } = sources;
  const { home, path } = locateConfig(sources);
  const table = file === undefined ? {} : readToml(file);
  refuseUnknownKeys(table, FILE_KEYS, path);
  const origins: Record<SettingName, Origin> = { ...ALL_DEFAULT };
  const read = <Value>(
    name: SettingName,
    parse: (text: string) => Value,
    flag?: string,
  ): Value | undefined => {
    const found = find(name, { flag, env, table, path });
    if (found === undefined) return undefined;
    origins[name] = found.origin;
    return found.origin === "flag" ? parse(found.text) : atPlace(found.place, () => parse(found.text));
  };
  const keyDir = resolve(
    read("key_dir", (text) => text) ?? join(xdg(env["XDG_CONFIG_HOME"], join(userHome, ".config")), "keys"),
  );
  refuseKeysInside(home, keyDir);
  // Found already; here for where they came from.
  read("home", (text) => text, flags.home);
  read("config", (text) => text);
  const name = read("name", parseName, flags.name);
  // No list joins to nothing.
  const listen = read("listen", parseList, flags.listen?.join(","));
  return Object.freeze({
    ...{ home, keyDir, configFile: path },
    listen: Object.freeze(listen ?? [parseListenAddress("127.0.0.1")]),
    grpc: Object.freeze(read("grpc", parseGrpc, flags.grpc)),
    name: name ?? nameOf(hostName),
    isNameGiven: name !== undefined,
    timeoutMs: read("timeout", parseDuration, flags.timeout) ?? LIMITS.callTimeoutMs,
    certificateLifetimeMs: read("certificate_lifetime", parseLifetime) ?? LIMITS.certificateLifetimeMs,
    logLevel: read("log_level", parseLogLevel),
    isDebug: read("debug", (text) => text === "1") ?? false,
    limits: "limits" in table ? parseDeviceLimits(table["limits"], path) : DEFAULT_DEVICE_LIMITS,
    tools: table["tools"],
    origins: Object.freeze(origins),
  });
}

interface Places {
  readonly flag: string | undefined;
  readonly env: ConfigSources["env"];
  readonly table: Table;
  readonly path: string;
}

interface Found {
  readonly text: string;
  readonly origin: Exclude<Origin, "default">;
  /** For an error's message. */
  readonly place: string;
}

function find(name: SettingName, { flag, env, table, path }: Places): Found | undefined {
  if (flag !== undefined) return { text: flag, origin: "flag", place: "" };
  const variable = variableIn(env, name);
  if (variable !== undefined) return { text: variable, origin: "variable", place: variableOf(name) };
  if (!(name in table)) return undefined;
  const place = `${path}: ${name}`;
  return { text: textAt(table[name], place), origin: "file", place };
}

function variableOf(name: SettingName): string {
  return `${PREFIX}${name.toUpperCase()}`;
}

/** An empty one is as good as none. */
function variableIn(env: ConfigSources["env"], name: SettingName): string | undefined {
  return env[variableOf(name)] || undefined;
}

function refuseUnknown(env: ConfigSources["env"]): void {
  const known: readonly string[] = SETTINGS.map(variableOf);
  for (const name of Object.keys(env)) {
    if (!name.startsWith(PREFIX) || known.includes(name)) continue;
    const nearest = nearestName(name, known);
    throw new GatehouseError("config.invalid", `unknown environment variable ${name}`, {
      hint: nearest === undefined ? `known ones: ${known.join(", ")}` : `did you mean ${nearest}?`,
    });
  }
}

/** XDG Base Directory: a relative path in the variable is to be ignored. */
function xdg(directory: string | undefined, fallback: string): string {
  return join(directory !== undefined && isAbsolute(directory) ? directory : fallback, "gatehouse");
}

/** A thief of the home's disk or backup must not get the key with it. */
function refuseKeysInside(home: string, keyDir: string): void {
  if (keyDir !== home && !keyDir.startsWith(`${home}/`)) return;
  throw new GatehouseError("config.invalid", "the key directory lies inside the home", {
    hint: "keep GATEHOUSE_KEY_DIR outside of the home, so that a copy of one is not a copy of both",
  });
}

/** Shorter ones would be renewed all the time, longer ones hardly ever. */
function parseLifetime(text: string): number {
  const ms = parseDuration(text);
  if (ms >= HOUR_MS && ms <= CERTIFICATE_LIFETIME_MS_MAX) return ms;
  throw new GatehouseError("usage.bad-argument", "certificates live for 1 hour to 365 days");
}

function parseList(text: string): readonly ListenAddress[] {
  return text.split(",").map((part) => parseListenAddress(part.trim()));
}

function parseGrpc(text: string): readonly ListenAddress[] | "off" {
  return text === "off" ? "off" : parseList(text);
}

function parseName(text: string): string {
  const sizeBytes = Buffer.byteLength(text);
  if (sizeBytes > 0 && sizeBytes <= LIMITS.deviceNameBytes && !/\p{C}/u.test(text)) return text;
  throw new GatehouseError("usage.bad-argument", "not a name", {
    hint: `a name has 1 to ${LIMITS.deviceNameBytes} bytes and no control characters`,
  });
}

/** A machine may call itself anything; nobody should have to mend that first. */
function nameOf(hostName: string): string {
  const [label = ""] = hostName.split(".");
  const plain = label.replace(/[^A-Za-z0-9-]/g, "").slice(0, LIMITS.deviceNameBytes);
  return plain === "" ? "gatehouse" : plain;
}

function parseLogLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((name) => name === text);
  if (level !== undefined) return level;
  throw new GatehouseError("usage.bad-argument", "not a log level", {
    hint: `one of ${LOG_LEVELS.join(", ")}`,
  });
}
