import { LIMITS } from "../core/index.ts";
import type { ConfigTable } from "./config-table.ts";
import type { CommandElement, CommandPart, ToolParameter } from "./definition.ts";
import { isNormalPath } from "./paths.ts";

/** A brace that stands for itself, a parameter's name in braces, or text without braces. */
const TOKEN = /\{\{|\}\}|\{([a-z][a-z0-9_]*)\}|[^{}]+/guy;
const BRACES = "{name} stands for a parameter, {{ and }} for braces";

/**
 * `command`: an array of texts, the first an absolute path. `{name}` in any other stands for that parameter's value.
 *
 * @throws GatehouseError `config.invalid`.
 */
export function parseCommand(
  table: ConfigTable,
  parameters: readonly ToolParameter[],
): readonly CommandElement[] {
  const bounds = { countMax: LIMITS.toolCommandElements, lengthMax: LIMITS.toolCommandElementLength };
  const templates = table.texts("command", bounds);
  const [program = ""] = templates;
  if (!isNormalPath(program) || program === "/" || /[{}]/.test(program)) {
    throw table.fault(
      "command",
      "it names no program",
      'begin with an absolute path: ["/usr/bin/git", "pull"]',
    );
  }
  const names = parameters.map(({ name }) => name);
  return Object.freeze(templates.map((template, index) => parseElement(table, { template, index, names })));
}

/** Whether a value of that parameter may be what the argument begins with. */
export function mayBegin({ parts }: CommandElement, name: string): boolean {
  for (const part of parts) {
    if (part.kind === "text") return false;
    if (part.name === name) return true;
  }
  return false;
}

interface Element {
  readonly template: string;
  readonly index: number;
  readonly names: readonly string[];
}

function parseElement(table: ConfigTable, { template, index, names }: Element): CommandElement {
  const parts = partsOf(template);
  const where = `command element ${index + 1}`;
  if (parts === undefined) throw table.fault("command", `${where} has a brace that means nothing`, BRACES);
  if (parts.length > LIMITS.toolCommandParts) {
    throw table.fault("command", `${where} is too complicated`, `at most ${LIMITS.toolCommandParts} parts`);
  }
  for (const part of parts) {
    if (part.kind === "text" || names.includes(part.name)) continue;
    const known = names.length === 0 ? "it has none" : `it has ${names.join(", ")}`;
    throw table.fault(
      "command",
      `${where} names an unknown parameter`,
      `declare it under parameters: ${known}`,
    );
  }
  return Object.freeze({ template, parts });
}

/** `undefined` when a brace stands alone. Neighbouring texts are one part. */
function partsOf(template: string): readonly CommandPart[] | undefined {
  const parts: CommandPart[] = [];
  let text = "";
  const flush = (): void => {
    if (text !== "") parts.push(Object.freeze({ kind: "text", text }));
    text = "";
  };
  let end = 0;
  for (const [token, name] of template.matchAll(TOKEN)) {
    end += token.length;
    if (name === undefined) text += token === "{{" || token === "}}" ? token.charAt(0) : token;
    else {
      flush();
      parts.push(Object.freeze({ kind: "parameter", name }));
    }
  }
  flush();
  return end === template.length ? Object.freeze(parts) : undefined;
}
