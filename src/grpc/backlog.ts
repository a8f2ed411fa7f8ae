import { LIMITS } from "../core/index.ts";

/** Bytes that wait to be sent on all calls of one connection: a peer that reads nothing leaves only so many lying. */
export class Backlog {
  readonly #bytesMax: number;
  readonly #waiting = new Set<() => void>();
  #bytes = 0;

  constructor(bytesMax: number = LIMITS.connectionWriteHighWaterBytes) {
    this.#bytesMax = bytesMax;
  }

  get isFull(): boolean {
    return this.#bytes > this.#bytesMax;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** They have gone; wakes who waits once half of the room is free. */
  remove(bytes: number): void {
    this.#bytes -= bytes;
    if (this.#bytes > this.#bytesMax / 2) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const run of waiting) run();
  }

  /** Calls `run` once when there is room again; disposing the answer cancels it. */
  whenRoom(run: () => void): Disposable {
    this.#waiting.add(run);
    return { [Symbol.dispose]: () => void this.#waiting.delete(run) };
  }
}
