import { type Clock, LIMITS } from "../core/index.ts";

/** `fresh`: never seen, and seen from now on. `known`: seen lately. `full`: no telling, there was no room to remember it. */
export type Strike = "fresh" | "known" | "full";

export interface StrikeLimits {
  /** An id is remembered so long at least, and half as long again at most. */
  readonly rememberMs: number;
  readonly perOwner: number;
  readonly total: number;
  readonly clockStepMs: number;
}

/** Of ids this young two generations cover the time to remember, with the one that is being filled. */
const GENERATIONS = 3;

const STANDARD: StrikeLimits = {
  rememberMs: LIMITS.strikeMs,
  perOwner: LIMITS.strikesPerDevice,
  total: LIMITS.strikes,
  clockStepMs: LIMITS.strikeClockStepMs,
};

/**
 * The request ids that early data has used lately (RFC 8446 §8.2), kept apart by owner: nobody can use up an id of
 * somebody else. Ids are kept in generations that are forgotten whole. In memory only: the keys of the tickets that
 * make early data possible do not outlive the process either.
 */
export class StrikeRegister {
  readonly #clock: Clock;
  readonly #limits: StrikeLimits;
  /** The youngest first. */
  #generations: readonly Generation[];
  #beganMs: number;
  #latestWallMs: number;

  constructor(clock: Clock, limits: StrikeLimits = STANDARD) {
    this.#clock = clock;
    this.#limits = limits;
    this.#generations = Array.from({ length: GENERATIONS }, () => new Generation());
    this.#beganMs = clock.monotonicMs();
    this.#latestWallMs = clock.now();
  }

  /** Ids remembered now. */
  get size(): number {
    return this.#generations.reduce((sum, { size }) => sum + size, 0);
  }

  /** Uses `id` up for `owner`, if that is possible. Copies `id`. */
  strike(owner: string, id: Uint8Array): Strike {
    this.#forget();
    const key = Buffer.from(id.buffer, id.byteOffset, id.length).toString("latin1");
    if (this.#generations.some((generation) => generation.has(owner, key))) return "known";
    if (this.#hasClockSteppedBack() || !this.#hasRoom(owner)) return "full";
    this.#generations[0]?.add(owner, key);
    return "fresh";
  }

  #forget(): void {
    const spanMs = this.#limits.rememberMs / (GENERATIONS - 1);
    const passed = Math.floor((this.#clock.monotonicMs() - this.#beganMs) / spanMs);
    if (passed === 0) return;
    this.#beganMs += passed * spanMs;
    const fresh = Array.from({ length: Math.min(passed, GENERATIONS) }, () => new Generation());
    this.#generations = [...fresh, ...this.#generations].slice(0, GENERATIONS);
  }

  /**
   * TLS tells a replayed flight from a fresh one by the wall clock. Turned back, it would take one for fresh whose ids
   * were forgotten here long ago.
   */
  #hasClockSteppedBack(): boolean {
    const wallMs = this.#clock.now();
    this.#latestWallMs = Math.max(this.#latestWallMs, wallMs);
    return wallMs < this.#latestWallMs - this.#limits.clockStepMs;
  }

  #hasRoom(owner: string): boolean {
    const own = this.#generations.reduce((sum, generation) => sum + generation.sizeOf(owner), 0);
    return own < this.#limits.perOwner && this.size < this.#limits.total;
  }
}

class Generation {
  readonly #owners = new Map<string, Set<string>>();
  size = 0;

  has(owner: string, id: string): boolean {
    return this.#owners.get(owner)?.has(id) === true;
  }

  sizeOf(owner: string): number {
    return this.#owners.get(owner)?.size ?? 0;
  }

  add(owner: string, id: string): void {
    const own = this.#owners.get(owner) ?? new Set();
    this.#owners.set(owner, own.add(id));
    this.size += 1;
  }
}
