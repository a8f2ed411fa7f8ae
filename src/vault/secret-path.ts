import { type Brand, GatehouseError, LIMITS } from "../core/index.ts";

/** A checked path such as `shared/db/password`: the name of one secret. */
export type SecretPath = Brand<string, "SecretPath">;

/** A checked folder path without a trailing slash; the empty text is the root. */
export type FolderPath = Brand<string, "FolderPath">;

const SEGMENT = /^[A-Za-z0-9._-]+$/;

/** @throws GatehouseError `vault.bad-path` unless every segment is 1 to 128 of [A-Za-z0-9._-], 512 bytes in all. */
export function parseSecretPath(text: string): SecretPath {
  checkPath(text);
  return text as SecretPath;
}

/** Like `parseSecretPath`, but the empty text is the root folder. @throws GatehouseError `vault.bad-path`. */
export function parseFolderPath(text: string): FolderPath {
  if (text !== "") checkPath(text);
  return text as FolderPath;
}

/** The folders that hold `path`, outermost first, the root left out: `a/b/c` lies in `a` and `a/b`. */
export function foldersOf(path: SecretPath | FolderPath): readonly FolderPath[] {
  const segments = path.split("/");
  return segments.slice(1).map((_, index) => segments.slice(0, index + 1).join("/") as FolderPath);
}

/** The folder right above; the root for a path of one segment. */
export function folderOf(path: SecretPath): FolderPath {
  return path.slice(0, Math.max(0, path.lastIndexOf("/"))) as FolderPath;
}

function checkPath(text: string): void {
  const reason = faultOf(text);
  if (reason !== undefined) {
    throw new GatehouseError("vault.bad-path", `not a secret's path: ${reason}`, {
      hint: "a path is segments of letters, digits, dot, underscore and dash, joined by slashes, such as shared/db",
    });
  }
}

function faultOf(text: string): string | undefined {
  if (text === "") return "it is empty";
  // Checked before splitting: the text may come from a peer.
  if (text.length > LIMITS.secretPathBytes) return `it is longer than ${LIMITS.secretPathBytes} bytes`;
  for (const segment of text.split("/")) {
    if (segment === "") return "a segment is empty";
    if (segment === "." || segment === "..") return "a segment is . or ..";
    if (!SEGMENT.test(segment)) return "a segment has a character outside [A-Za-z0-9._-]";
    if (segment.length > LIMITS.secretPathSegmentBytes) {
      return `a segment is longer than ${LIMITS.secretPathSegmentBytes} bytes`;
    }
  }
  return undefined;
}
