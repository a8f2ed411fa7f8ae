import { GatehouseError, LIMITS } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import type { Peer } from "./peer.ts";

const ROLE = /^[a-z][a-z0-9-]{0,31}$/;

export type PairingWindowEvent =
  | {
      readonly kind: "opened";
      readonly code: string | undefined;
      readonly uri: string;
      readonly expiresAt: number;
    }
  | {
      readonly kind: "paired";
      readonly device: { readonly deviceId: string; readonly name: string; readonly role: string };
    }
  | { readonly kind: "burnt" }
  | { readonly kind: "expired" };

export interface PairingWindowWish {
  readonly role: string;
  readonly ttlMs?: number | undefined;
  /** `unless-paused`: a code, unless too many were burnt. `forced`: a code all the same. `none`: by URI only. */
  readonly code?: "unless-paused" | "forced" | "none";
}

export interface PairingWindows {
  /** @throws pairing.window-open, pairing.paused */
  open(options: PairingWindowWish, signal: AbortSignal): AsyncIterable<PairingWindowEvent>;
}

export function pairingService(router: Router<Peer>, windows: PairingWindows): void {
  router.handle(METHODS.Pairing.Open, async function* (request, { signal }) {
    const code = request.uriOnly ? "none" : request.force ? "forced" : "unless-paused";
    const wish = { role: parseRole(request.role), ttlMs: parseTtl(request.ttlMs), code } as const;
    for await (const event of windows.open(wish, signal)) yield toMessage(event);
  });
}

function toMessage(event: PairingWindowEvent) {
  switch (event.kind) {
    case "opened":
      return { opened: { code: event.code ?? "", uri: event.uri, expiresAt: event.expiresAt } };
    case "paired":
      return { paired: event.device };
    case "burnt":
      return { burnt: {} };
    case "expired":
      return { expired: {} };
  }
}

function parseRole(role: string): string {
  if (role === "") return "member";
  if (ROLE.test(role)) return role;
  throw new GatehouseError("usage.bad-argument", "not a role's name", {
    hint: "a role is a lower-case word such as member, owner or ci",
  });
}

function parseTtl(ttlMs: number): number {
  if (ttlMs === 0) return LIMITS.pairingTtlMs;
  if (ttlMs <= LIMITS.pairingTtlMaxMs) return ttlMs;
  throw new GatehouseError(
    "usage.bad-argument",
    `a pairing window lasts at most ${LIMITS.pairingTtlMaxMs / 60_000} min`,
  );
}
