import { inspect } from "node:util";

/**
 * Secret bytes with one owner: lent to a callback, wiped on disposal, never printed.
 * (A best effort: the garbage collector may have moved copies of short-lived arrays before.)
 */
export class SecretBytes implements Disposable {
  #bytes: Uint8Array | undefined;

  /** Takes `bytes`: the caller must not keep or use them. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get length(): number {
    return this.#live().length;
  }

  /** Lends the bytes for the duration of `borrow`; what it keeps of them, it must have copied on purpose. */
  use<Result>(borrow: (bytes: Uint8Array) => Result): Result {
    return borrow(this.#live());
  }

  [Symbol.dispose](): void {
    this.#bytes?.fill(0);
    this.#bytes = undefined;
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [inspect.custom](): string {
    return "[secret]";
  }

  #live(): Uint8Array {
    if (this.#bytes === undefined) throw new TypeError("SecretBytes: used after disposal");
    return this.#bytes;
  }
}
