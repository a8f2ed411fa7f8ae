/**
 * Flags before environment before defaults, checked once, into one frozen value.
 *
 * | variable               | meaning                                    | default                             |
 * | ---------------------- | ------------------------------------------ | ----------------------------------- |
 * | `GATEHOUSE_HOME`       | the install's directory                    | `$XDG_STATE_HOME/gatehouse`         |
 * | `GATEHOUSE_KEY_DIR`    | where key-encryption keys lie              | `$XDG_CONFIG_HOME/gatehouse/keys`   |
 * | `GATEHOUSE_LISTEN`     | addresses to bind, separated by commas     | `127.0.0.1:7443`                    |
 * | `GATEHOUSE_NAME`       | what this gatehouse or device calls itself | the host's name                     |
 * | `GATEHOUSE_TIMEOUT`    | how long a call may take, as `30s`         | 30 s                                |
 * | `GATEHOUSE_CERTIFICATE_LIFETIME` | how long certificates are good, from `1h` to `365d`; renewed at half of it | 30 d |
 * | `GATEHOUSE_LOG_LEVEL`  | `debug`, `info`, `warn` or `error`         | `info`; `warn` on a terminal        |
 * | `GATEHOUSE_DEBUG`      | `1` prints stacks of unexpected errors     | off                                 |
 */

import { isAbsolute, join, resolve } from "node:path";
import { GatehouseError, isGatehouseError, LIMITS } from "../core/index.ts";
import { parseDuration } from "./duration.ts";
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
  /** 1 to 64 bytes. */
  readonly name: string;
  /** False when `name` is the host's, for want of a better one. */
  readonly isNameGiven: boolean;
  readonly timeoutMs: number;
  /** Of devices' certificates and the gatehouse's own. */
  readonly certificateLifetimeMs: number;
  readonly logLevel: LogLevel | undefined;
  readonly isDebug: boolean;
}

/** What the command line said; unset means that the environment or the default decides. */
export interface ConfigFlags {
  readonly home?: string | undefined;
  readonly listen?: readonly string[] | undefined;
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

const VARIABLES = [
  ...["HOME", "KEY_DIR", "LISTEN", "NAME", "TIMEOUT", "CERTIFICATE_LIFETIME", "LOG_LEVEL", "DEBUG"],
] as const;
const HOUR_MS = 3_600_000;
const CERTIFICATE_LIFETIME_MS_MAX = 365 * 24 * HOUR_MS;
const PREFIX = "GATEHOUSE_";

/**
 * @throws GatehouseError `usage.bad-argument` for a flag's value, `config.invalid` for an unknown
 * `GATEHOUSE_` variable (the hint names the nearest one) or for a variable's value.
 */
export function loadConfig({ flags, env, userHome, hostName }: ConfigSources): Config {
  refuseUnknown(env);
  const variable = (name: (typeof VARIABLES)[number]) => env[PREFIX + name] || undefined;
  const read = <Value>(name: (typeof VARIABLES)[number], parse: (text: string) => Value) => {
    const text = variable(name);
    return text === undefined ? undefined : fromVariable(name, () => parse(text));
  };
  const home = resolve(
    flags.home ?? variable("HOME") ?? xdg(env["XDG_STATE_HOME"], join(userHome, ".local/state")),
  );
  const keyDir = resolve(
    variable("KEY_DIR") ?? join(xdg(env["XDG_CONFIG_HOME"], join(userHome, ".config")), "keys"),
  );
  refuseKeysInside(home, keyDir);
  const given = flags.name === undefined ? read("NAME", parseName) : parseName(flags.name);
  const listen = flags.listen?.map(parseListenAddress) ?? read("LISTEN", parseList);
  return Object.freeze({
    home,
    keyDir,
    listen: Object.freeze(listen ?? [parseListenAddress("127.0.0.1")]),
    name: given ?? nameOf(hostName),
    isNameGiven: given !== undefined,
    timeoutMs:
      (flags.timeout === undefined ? read("TIMEOUT", parseDuration) : parseDuration(flags.timeout)) ??
      LIMITS.callTimeoutMs,
    certificateLifetimeMs: read("CERTIFICATE_LIFETIME", parseLifetime) ?? LIMITS.certificateLifetimeMs,
    logLevel: read("LOG_LEVEL", parseLogLevel),
    isDebug: variable("DEBUG") === "1",
  });
}

function refuseUnknown(env: ConfigSources["env"]): void {
  const known: readonly string[] = VARIABLES.map((name) => PREFIX + name);
  for (const name of Object.keys(env)) {
    if (!name.startsWith(PREFIX) || known.includes(name)) continue;
    const nearest = nearestName(name, known);
    throw new GatehouseError("config.invalid", `unknown environment variable ${name}`, {
      hint: nearest === undefined ? `known ones: ${known.join(", ")}` : `did you mean ${nearest}?`,
    });
  }
}

function fromVariable<Value>(name: string, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (!isGatehouseError(error)) throw error;
    throw new GatehouseError("config.invalid", `${PREFIX}${name}: ${error.message}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      cause: error,
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
