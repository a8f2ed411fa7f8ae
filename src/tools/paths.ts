import { isAbsolute, normalize } from "node:path";

/** Absolute, without `.`, `..`, doubled or trailing slashes. */
export function isNormalPath(path: string): boolean {
  return isAbsolute(path) && normalize(path) === path && (path === "/" || !path.endsWith("/"));
}

/** Whether `path` is `folder` or lies below it; both normal. */
export function liesIn(path: string, folder: string): boolean {
  return path === folder || folder === "/" || path.startsWith(`${folder}/`);
}
