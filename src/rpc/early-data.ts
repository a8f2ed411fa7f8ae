import { type Clock, GatehouseError } from "../core/index.ts";
import type { AnyMethod } from "./context.ts";
import { StrikeRegister } from "./strike-register.ts";

/** Calls that came in early data, by what became of them; since the start of the process. */
export interface EarlyDataCounts {
  readonly accepted: number;
  /** The request id was used lately: a replay, or a caller that repeats itself. */
  readonly replayed: number;
  /** No room to remember the id, or a clock that cannot be trusted. */
  readonly full: number;
  readonly withSideEffects: number;
  readonly withoutRequestId: number;
}

export interface EarlyDataOptions<Peer> {
  readonly clock: Clock;
  /** Whose the request id is: the same for all connections of one device, another one for every other device. */
  readonly ownerOf: (peer: Peer) => string;
  readonly register?: StrikeRegister;
}

type Refusal = Exclude<keyof EarlyDataCounts, "accepted">;

/**
 * Decides which calls may be answered from early data, which anybody who has seen it may send again (RFC 8446 §8):
 * those without side effects, each once. A refusal costs an honest caller one round trip, and no one a line in a log.
 */
export class EarlyData<Peer> {
  readonly #ownerOf: (peer: Peer) => string;
  readonly #register: StrikeRegister;
  readonly #counts = { accepted: 0, replayed: 0, full: 0, withSideEffects: 0, withoutRequestId: 0 };

  constructor({ clock, ownerOf, register = new StrikeRegister(clock) }: EarlyDataOptions<Peer>) {
    this.#ownerOf = ownerOf;
    this.#register = register;
  }

  get counts(): EarlyDataCounts {
    return { ...this.#counts };
  }

  /** Uses `requestId` up. @throws rpc.too-early when the call must be repeated after the handshake. */
  accept(method: AnyMethod, requestId: Uint8Array | undefined, peer: Peer): void {
    const refusal = this.#refusal(method, requestId, peer);
    this.#counts[refusal ?? "accepted"] += 1;
    if (refusal !== undefined) throw tooEarly();
  }

  #refusal(method: AnyMethod, requestId: Uint8Array | undefined, peer: Peer): Refusal | undefined {
    if (!method.hasNoSideEffects) return "withSideEffects";
    if (requestId === undefined) return "withoutRequestId";
    const strike = this.#register.strike(this.#ownerOf(peer), requestId);
    if (strike === "fresh") return undefined;
    return strike === "known" ? "replayed" : "full";
  }
}

export function tooEarly(): GatehouseError<"rpc.too-early"> {
  return new GatehouseError("rpc.too-early", "this call is not answered from early data", {
    hint: "repeat the call after the handshake",
  });
}
