import { GatehouseError } from "../core/index.ts";

/** Work that is heavy, or must not meet others of its kind: one after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();
  #count = 0;

  /** In its turn. @throws rpc.overloaded when `aheadMax` are before it; whatever `work` throws */
  next<Result>(aheadMax: number, work: () => Promise<Result>): Promise<Result> {
    if (this.#count >= aheadMax) return Promise.reject(busy());
    this.#count += 1;
    const result = this.#last.then(work).finally(() => {
      this.#count -= 1;
    });
    this.#last = result.catch(() => undefined);
    return result;
  }
}

function busy(): GatehouseError<"rpc.overloaded"> {
  return new GatehouseError("rpc.overloaded", "policies are being worked on for others", {
    hint: "try again in a moment",
    retryAfterMs: 1_000,
  });
}
