import { readFileSync } from "node:fs";
import type { ToolAccount } from "./definition.ts";

export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Whom a declaration means, by this machine's own files; names that only a directory server knows are written as
 * numbers. `undefined` when a name is unknown, or a number has no primary group and none is declared.
 */
export function findAccount({ user, group }: ToolAccount): Account | undefined {
  const row = rowsOf("/etc/passwd").find(([name, , id]) => isMeant(user, name, id));
  const uid = typeof user === "number" ? user : numberOf(row?.[2]);
  const gid = group === undefined ? numberOf(row?.[3]) : findGroup(group);
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

function findGroup(group: string | number): number | undefined {
  if (typeof group === "number") return group;
  return numberOf(rowsOf("/etc/group").find(([name]) => name === group)?.[2]);
}

function isMeant(user: string | number, name: string | undefined, id: string | undefined): boolean {
  return typeof user === "number" ? numberOf(id) === user : name === user;
}

/** passwd(5), group(5). Read each time: accounts come and go while the daemon runs. */
function rowsOf(path: string): readonly (readonly string[])[] {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .map((line) => line.split(":"));
  } catch {
    return [];
  }
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined;
}
