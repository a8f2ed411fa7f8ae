/** From the values of a file to the paths they are stored under. */
import { GatehouseError, LIMITS, utf8 } from "../core/index.ts";
import { parseDotenv } from "./dotenv.ts";
import { parseJsonValues } from "./json-values.ts";

export interface ImportedValue {
  /** From the outermost folder to the name. */
  readonly keys: readonly string[];
  readonly value: string;
  readonly line: number;
}

export interface ImportWarning {
  readonly line: number;
  /** Without the value. */
  readonly message: string;
}

export interface ImportEntry {
  readonly path: string;
  /** For the reader of the file to wipe. */
  readonly value: Uint8Array;
}

export type ImportFormat = "env" | "json";

export interface ImportPlan {
  /** At least one; no path twice. */
  readonly entries: readonly ImportEntry[];
  readonly warnings: readonly ImportWarning[];
}

/**
 * Everything that can be known without the gatehouse is checked here, before anything is stored.
 *
 * @throws GatehouseError `usage.bad-argument`, `vault.bad-path`, `vault.too-large`, naming the line.
 */
export function planImport(text: string, format: ImportFormat, prefix: string): ImportPlan {
  const { values, warnings } =
    format === "env" ? parseDotenv(text) : { values: parseJsonValues(text), warnings: [] };
  if (values.length === 0) throw new GatehouseError("usage.bad-argument", "there is nothing in the file");
  if (values.length > LIMITS.importValues) {
    throw new GatehouseError("usage.bad-argument", `a file has at most ${LIMITS.importValues} values`);
  }
  const folder = prefix === "" ? [] : prefix.split("/");
  checkFolder(folder);
  const lines = new Map<string, number>();
  const entries = values.map(({ keys, value, line }) => {
    const path = pathOf([...folder, ...keys], line);
    const before = lines.get(path);
    if (before !== undefined) throw repeated(path, before, line);
    lines.set(path, line);
    return { path, value: bytesOf(value, line) };
  });
  return { entries, warnings };
}

function checkFolder(segments: readonly string[]): void {
  const fault = faultOf(segments);
  if (fault !== undefined) throw badPath(`--prefix is not a folder's path: ${fault}`);
}

/** A slash inside a key would make folders that the file does not have: it is refused like any other character. */
function pathOf(segments: readonly string[], line: number): string {
  const fault = faultOf(segments);
  if (fault === undefined) return segments.join("/");
  throw badPath(`line ${line} makes no secret's path: ${fault}`);
}

/** As the vault itself decides, which this room cannot ask. */
function faultOf(segments: readonly string[]): string | undefined {
  for (const segment of segments) {
    if (segment === "") return "a name is empty";
    if (segment === "." || segment === "..") return "a name is . or ..";
    if (!/^[A-Za-z0-9._-]+$/.test(segment)) return "a name has a character outside [A-Za-z0-9._-]";
    if (segment.length > LIMITS.secretPathSegmentBytes) {
      return `a name is longer than ${LIMITS.secretPathSegmentBytes} bytes`;
    }
  }
  return segments.join("/").length > LIMITS.secretPathBytes
    ? `it is longer than ${LIMITS.secretPathBytes} bytes`
    : undefined;
}

function bytesOf(value: string, line: number): Uint8Array {
  const bytes = utf8(value);
  if (bytes.length <= LIMITS.secretValueBytes) return bytes;
  throw new GatehouseError("vault.too-large", `line ${line} has a value of more than 1 MiB`);
}

function badPath(message: string): GatehouseError<"vault.bad-path"> {
  return new GatehouseError("vault.bad-path", message, {
    hint: "nothing was stored; rename it in the file, or store it by itself with: gatehouse vault put",
  });
}

function repeated(path: string, before: number, line: number): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError(
    "usage.bad-argument",
    `lines ${before} and ${line} both give a value for ${path}`,
    {
      hint: "nothing was stored; keep the one that counts",
    },
  );
}
