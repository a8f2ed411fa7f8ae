import { shortId } from "./device-document.ts";
import type { Style } from "./style.ts";
import { facts } from "./table.ts";
import { grouped, roughDuration } from "./words.ts";

/** Somebody who has proven a pairing code and waits for a yes. The id is proven; the rest is what it says of itself. */
export interface Joiner {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  /** What it would get. */
  readonly role: string;
  /** Id of the device that would be revoked for it; empty when nobody would. */
  readonly replaces: string;
  /** Unix milliseconds. */
  readonly expiresAt: number;
  readonly remoteAddress: string;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };

export function asJoiner(
  asked: Nullable<Omit<Joiner, "id">> & { readonly deviceId?: string | null },
): Joiner {
  return {
    id: asked.deviceId ?? "",
    name: asked.name ?? "",
    kind: asked.kind ?? "",
    platform: asked.platform ?? "",
    role: asked.role ?? "",
    replaces: asked.replaces ?? "",
    expiresAt: asked.expiresAt ?? 0,
    remoteAddress: asked.remoteAddress ?? "",
  };
}

/** What somebody has to know to say yes or no; whom it replaces comes last, in red. */
export function describeJoiner(joiner: Joiner, { nowMs, style }: { nowMs: number; style: Style }): string {
  const { id, name, kind, platform, role, replaces, expiresAt, remoteAddress } = joiner;
  const lines = facts(
    [
      ["name", name],
      ["kind", [kind, platform].filter((text) => text !== "").join(", ")],
      ["id begins", grouped(shortId(id))],
      ["role", role],
      ["from", remoteAddress === "" ? "unknown" : remoteAddress],
      ["waits", `${roughDuration(expiresAt - nowMs + 999)} more`],
    ],
    style,
  );
  if (replaces === "") return lines;
  const warning = `REPLACES the device of this name (${shortId(replaces)}…), which a yes revokes for good`;
  return `${lines}\n${style.bold(style.red(warning))}`;
}
