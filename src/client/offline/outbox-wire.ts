import { copyOf, GatehouseError } from "../../core/index.ts";
import { type Codec, METHODS } from "../../gen/index.ts";
import type { Caller, MayRepeat } from "../../rpc/index.ts";
import type { Link } from "../link/link.ts";
import { isForLater, leavesDoubt } from "./outbox-rules.ts";

/** A call as it is stored: its messages are bytes. */
export interface EncodedCall {
  readonly method: string;
  readonly request: Uint8Array;
  /** 16 bytes. */
  readonly requestId: Uint8Array;
  readonly timeoutMs: number;
}

export interface SendOptions {
  readonly signal: AbortSignal;
  /** It was sent, its answer did not come, and it is sent again. */
  readonly unanswered: () => void;
}

/** What an outbox needs of a gatehouse. */
export interface OutboxWire {
  /** What is sent now goes out. */
  readonly isOpen: boolean;
  /** Resolves when the gatehouse was there. @throws GatehouseError what keeps it from being reached */
  reach(signal: AbortSignal): Promise<void>;
  /** Borrows the request; answers the encoded response. @throws GatehouseError */
  send(call: EncodedCall, options: SendOptions): Promise<Uint8Array>;
}

const BYTES: Codec<Uint8Array, Uint8Array> = {
  encode: (bytes) => ({ finish: () => bytes }),
  decode: copyOf,
};

/** Nobody was asked: this home has forgotten the gatehouse, or cannot read what it knows. */
function isOwn(failure: unknown): boolean {
  return failure instanceof GatehouseError && /^(?:remote|identity|home|file)\./.test(failure.code);
}

/** Over a client's own link. */
export class LinkWire implements OutboxWire {
  readonly #link: Link;
  readonly #caller: Caller;

  constructor(link: Link, caller: Caller) {
    this.#link = link;
    this.#caller = caller;
  }

  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  async reach(signal: AbortSignal): Promise<void> {
    const { openSoonest, mayRepeat } = this.#link;
    try {
      await this.#caller.unary(openSoonest, METHODS.Health.Ping, {}, { signal }, mayRepeat);
    } catch (failure) {
      // Whoever says no to a ping is there; what this home says of itself was never sent.
      if (isForLater(failure) || isOwn(failure) || signal.aborted) throw failure;
    }
  }

  send(
    { method, request, requestId, timeoutMs }: EncodedCall,
    { signal, unanswered }: SendOptions,
  ): Promise<Uint8Array> {
    const definition = { kind: "unary", hasNoSideEffects: false, request: BYTES, response: BYTES } as const;
    const { openAfterHandshake, mayRepeat } = this.#link;
    const noting: MayRepeat = (call, failure) => {
      const verdict = mayRepeat(call, failure);
      if (verdict !== false && leavesDoubt(failure)) unanswered();
      return verdict;
    };
    const options = { requestId, timeoutMs, signal };
    return this.#caller.unary(openAfterHandshake, { ...definition, path: method }, request, options, noting);
  }
}
