import { GatehouseError } from "../core/index.ts";

/** `Role::"ci"`, or `Role::ci` where a shell has eaten the quotes. @throws GatehouseError `usage.bad-argument` */
export function parseEntity(text: string): { readonly type: string; readonly id: string } {
  const [, type = "", quoted = "", bare = ""] =
    /^([A-Za-z][A-Za-z0-9_]*)::(?:"((?:[^"\\]|\\["\\])*)"|([^"\s]+))$/.exec(text) ?? [];
  const id = quoted === "" ? bare : quoted.replace(/\\(["\\])/g, "$1");
  if (type !== "" && id !== "") return { type, id };
  throw new GatehouseError("usage.bad-argument", `not an entity: ${JSON.stringify(text.slice(0, 80))}`, {
    hint: 'write it as Cedar does, such as Role::"ci" or Folder::"shared/ci"',
  });
}
