import type { Clock, Random } from "../core/index.ts";
import type { PairedDevice } from "./attempt.ts";
import type { PairingLimiter } from "./limiter.ts";
import type { Joiner } from "./question.ts";

/** What a pairing window is opened with, and what it says. */

export type PairingWindowState =
  | "open"
  | "busy"
  | "asking"
  | "enrolling"
  | "paired"
  | "burnt"
  | "expired"
  | "closed";

/** `retired` comes last, once: from then on no new connection has business with this window. */
export type PairingWindowEvent =
  | { readonly kind: "asked"; readonly joiner: Joiner }
  | { readonly kind: "denied"; readonly deviceId: string }
  | { readonly kind: "paired"; readonly device: PairedDevice }
  | { readonly kind: "burnt" }
  | { readonly kind: "expired" }
  | { readonly kind: "closed" }
  | { readonly kind: "retired" };

export type PairingVerdict = "approve" | "deny";

export interface PairingWindowOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limiter: PairingLimiter;
  /** The role of whoever comes. */
  readonly role: string;
  /** Default 120 000; 1 to 600 000. */
  readonly ttlMs?: number;
  /** `forced` opens with a code although code pairing is paused. Default `unless-paused`. */
  readonly code?: "unless-paused" | "forced" | "none";
  /** Somebody is asked about whoever has proven the secret. Who replaces another device always needs a yes. */
  readonly requireApproval?: boolean;
  /** Id of the device that has this name now, if any. Default: names are not looked at before enrolling. */
  readonly findByName?: (name: string) => string | undefined;
  readonly onEvent: (event: PairingWindowEvent) => void;
}
