import { GatehouseError, LIMITS } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import { parseRole } from "./names.ts";
import type { Peer } from "./peer.ts";
import { DEFAULT_ROLE } from "./subject.ts";

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
  | { readonly kind: "asked"; readonly joiner: WaitingJoiner }
  | { readonly kind: "denied"; readonly deviceId: string }
  | { readonly kind: "burnt" }
  | { readonly kind: "expired" };

/** Somebody who has proven a window's secret and waits for a yes. */
export interface WaitingJoiner {
  /** Proven; what follows is what it says of itself. */
  readonly deviceId: string;
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  /** What it would get. */
  readonly role: string;
  /** Id of the device that would be revoked for it, or empty. */
  readonly replaces: string;
  readonly expiresAt: number;
  readonly remoteAddress: string;
}

export interface PairingWindowWish {
  readonly role: string;
  readonly ttlMs?: number | undefined;
  /** `unless-paused`: a code, unless too many were burnt. `forced`: a code all the same. `none`: by URI only. */
  readonly code?: "unless-paused" | "forced" | "none";
  /** Whoever proves the secret waits for `decide`. Who would replace another device always does. */
  readonly requireApproval?: boolean;
}

export interface PairingWindows {
  /** @throws pairing.window-open, pairing.paused */
  open(options: PairingWindowWish, signal: AbortSignal): AsyncIterable<PairingWindowEvent>;
  waiting(): readonly WaitingJoiner[];
  /** By id in any spelling, or an id's first 8 characters or more. @throws pairing.not-waiting */
  find(text: string): WaitingJoiner;
  /** The first answer counts. @throws pairing.not-waiting */
  decide(text: string, verdict: "approve" | "deny"): WaitingJoiner;
}

export function pairingService(router: Router<Peer>, windows: PairingWindows): void {
  router.handle(METHODS.Pairing.Open, async function* (request, { signal }) {
    const code = request.uriOnly ? "none" : request.force ? "forced" : "unless-paused";
    const { requireApproval } = request;
    const wish = {
      role: parseRole(request.role || DEFAULT_ROLE),
      ttlMs: parseTtl(request.ttlMs),
      code,
      requireApproval,
    } as const;
    for await (const event of windows.open(wish, signal)) yield toMessage(event);
  });
  router.handle(METHODS.Pairing.Waiting, () => ({ joiners: [...windows.waiting()] }));
  router.handle(METHODS.Pairing.Decide, ({ device, approve }) => ({
    joiner: windows.decide(device, approve ? "approve" : "deny"),
  }));
}

function toMessage(event: PairingWindowEvent) {
  switch (event.kind) {
    case "opened":
      return { opened: { code: event.code ?? "", uri: event.uri, expiresAt: event.expiresAt } };
    case "paired":
      return { paired: event.device };
    case "asked":
      return { asked: event.joiner };
    case "denied":
      return { denied: { deviceId: event.deviceId } };
    case "burnt":
      return { burnt: {} };
    case "expired":
      return { expired: {} };
  }
}

function parseTtl(ttlMs: number): number {
  if (ttlMs === 0) return LIMITS.pairingTtlMs;
  if (ttlMs <= LIMITS.pairingTtlMaxMs) return ttlMs;
  throw new GatehouseError(
    "usage.bad-argument",
    `a pairing window lasts at most ${LIMITS.pairingTtlMaxMs / 60_000} min`,
  );
}
