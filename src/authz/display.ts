/** Values and names as people see them, who must not be fooled by what is in them. */
import type { CedarValueJson } from "@cedar-policy/cedar-wasm/nodejs";

/** What shows as nothing, moves what is beside it, or breaks the line. */
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;
const TEXT_CHARACTERS_MAX = 1_000;
const VALUE_CHARACTERS_MAX = 200;

/** A string as Cedar writes it, so that it reads back as the same. */
export function cedarString(text: string): string {
  const escaped = text.replace(/["\\]/g, "\\$&");
  return `"${escaped.replace(UNSEEN, (unseen) => `\\u{${(unseen.codePointAt(0) ?? 0).toString(16)}}`)}"`;
}

/** Text on one line: unseen characters are spaces, and it is cut at 1 000 characters. */
export function line(text: string): string {
  return cut(text.replace(/\s+/g, " ").replace(UNSEEN, " ").trim(), TEXT_CHARACTERS_MAX);
}

/** A name inside a sentence: bare where it is plain, else as Cedar writes it. */
export function shownName(name: string): string {
  return /^[\w./:@-]+$/.test(name)
    ? cut(name, VALUE_CHARACTERS_MAX)
    : cut(cedarString(name), VALUE_CHARACTERS_MAX);
}

/** A value as Cedar writes it, cut at 200 characters. */
export function shownValue(value: CedarValueJson): string {
  return cut(cedarValue(value), VALUE_CHARACTERS_MAX);
}

/** Requests hold values of a few levels only. */
function cedarValue(value: CedarValueJson): string {
  if (typeof value === "string") return cedarString(value);
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) return `[${value.map(cedarValue).join(", ")}]`;
  if (isEntity(value)) return `${value.__entity.type}::${cedarString(value.__entity.id)}`;
  if (isExtension(value)) return `${value.__extn.fn}(${cedarValue(value.__extn.arg)})`;
  return `{${Object.entries(value)
    .map(([name, field]) => `${cedarString(name)}: ${cedarValue(field)}`)
    .join(", ")}}`;
}

export function isEntity(value: CedarValueJson): value is { __entity: { type: string; id: string } } {
  return typeof value === "object" && value !== null && "__entity" in value;
}

function isExtension(value: CedarValueJson): value is { __extn: { fn: string; arg: CedarValueJson } } {
  return typeof value === "object" && value !== null && "__extn" in value;
}

function cut(text: string, charactersMax: number): string {
  return text.length <= charactersMax ? text : `${text.slice(0, charactersMax - 1).replace(/\p{Cs}$/u, "")}…`;
}
