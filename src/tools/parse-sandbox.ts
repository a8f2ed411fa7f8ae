import { LIMITS } from "../core/index.ts";
import type { ConfigTable } from "./config-table.ts";
import type { ToolAccount, ToolLimits, ToolSandbox } from "./definition.ts";
import { isNormalPath, liesIn } from "./paths.ts";
import { durationMs, sizeBytes } from "./quantities.ts";

const UID_MAX = 4_294_967_294;
const MEMORY_BYTES_MAX = 2 ** 44;
const CPU_MS_MAX = 3_600_000;
const COUNT_MAX = 1_048_576;

/** @throws GatehouseError `config.invalid`. */
export function parseSandbox(tool: ConfigTable): ToolSandbox | undefined {
  if (!tool.has("sandbox")) return undefined;
  const table = tool.table("sandbox", ["kind", "read", "write", "network"]);
  if (table.text("kind", { lengthMax: 32 }) !== "bubblewrap") {
    throw table.fault("kind", "not a kind of sandbox", 'write kind = "bubblewrap"');
  }
  const write = parsePaths(table, "write");
  const read = parsePaths(table, "read");
  refuseNested(table, read, write);
  return Object.freeze({ kind: "bubblewrap", read, write, hasNetwork: table.boolean("network") });
}

/** @throws GatehouseError `config.invalid`. */
export function parseAccount(tool: ConfigTable): ToolAccount | undefined {
  const [user, group] = [parseName(tool, "user"), parseName(tool, "group")];
  if (user !== undefined) return Object.freeze({ user, group });
  if (group === undefined) return undefined;
  throw tool.fault("group", "it has no user", "name the user too");
}

/** @throws GatehouseError `config.invalid`. */
export function parseLimits(tool: ConfigTable): ToolLimits {
  const table = tool.table("limits", ["memory", "cpu", "processes", "files", "file_size"]);
  const cpuMs = durationMs(table, "cpu", CPU_MS_MAX);
  if (cpuMs !== undefined && cpuMs % 1_000 !== 0)
    throw table.fault("cpu", "not whole seconds", "such as 10s");
  return Object.freeze({
    memoryBytes: sizeBytes(table, "memory", MEMORY_BYTES_MAX),
    cpuSeconds: cpuMs === undefined ? undefined : cpuMs / 1_000,
    processes: table.integer("processes", { min: 1, max: COUNT_MAX }),
    openFiles: table.integer("files", { min: 3, max: COUNT_MAX }),
    fileSizeBytes: sizeBytes(table, "file_size", MEMORY_BYTES_MAX),
  });
}

function parsePaths(table: ConfigTable, key: "read" | "write"): readonly string[] {
  const bounds = { countMax: LIMITS.toolSandboxPaths, lengthMax: LIMITS.toolPathLength };
  const paths = table.texts(key, bounds);
  if (paths.some((path) => !isNormalPath(path) || path === "/")) {
    throw table.fault(key, "not a usable path", "paths are absolute, without . and .., and not / itself");
  }
  if (new Set(paths).size === paths.length) return paths;
  throw table.fault(key, "one stands there twice", "name each once");
}

/** What runs in it could put a link to anything in the inner path's place, and we would show that the next time. */
function refuseNested(table: ConfigTable, read: readonly string[], write: readonly string[]): void {
  const isNested = [...read, ...write].some((path) =>
    write.some((folder) => path !== folder && liesIn(path, folder)),
  );
  if (isNested) throw table.fault("write", "another path lies inside of one", "name the outer one only");
  if (!read.some((path) => write.includes(path))) return;
  throw table.fault("write", "a path is in read too", "what may be written may be read");
}

/** A name, or a number. */
function parseName(tool: ConfigTable, key: "user" | "group"): string | number | undefined {
  if (typeof tool.value(key) !== "string") return tool.integer(key, { min: 0, max: UID_MAX });
  const name = tool.text(key, { lengthMax: 64 }) ?? "";
  if (/^[A-Za-z_][A-Za-z0-9._-]*\$?$/.test(name)) return name;
  throw tool.fault(key, "not a name", "write a name, or its number without quotes");
}
