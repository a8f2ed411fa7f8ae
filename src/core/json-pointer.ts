import { LIMITS } from "./limits.ts";

/** RFC 6901: the names on the way to a value; none for the whole document. `undefined` for what is no pointer. */
export function parsePointer(text: string): readonly string[] | undefined {
  if (text === "") return [];
  if (!text.startsWith("/") || text.length > LIMITS.toolPointerLength || /~(?![01])/.test(text))
    return undefined;
  return text
    .slice(1)
    .split("/")
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

export function formatPointer(tokens: readonly string[]): string {
  return tokens.map((token) => `/${token.replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
}
