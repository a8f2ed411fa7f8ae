import { GatehouseError } from "../core/index.ts";

const WAITING_MAX = 16;

/** Work that is heavy, or must not meet others of its kind: one after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #count = 0;

  /** In its turn. @throws rpc.overloaded when 16 are before it; whatever `work` throws */
  next<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#count >= WAITING_MAX) return Promise.reject(busy());
    this.#count += 1;
    const result = this.#last.then(work).finally(() => {
      this.#count -= 1;
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** When it would be its turn. @throws rpc.overloaded; whatever `work` throws */
  now<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#count > 0 ? Promise.reject(busy()) : this.next(work);
  }
}

function busy(): GatehouseError<"rpc.overloaded"> {
  return new GatehouseError("rpc.overloaded", "policies are being worked on for somebody else", {
    retryAfterMs: 1_000,
  });
}
