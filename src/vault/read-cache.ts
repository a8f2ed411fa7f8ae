import { LIMITS } from "../core/index.ts";

/** A value with what it takes to open it again, still sealed. */
export interface Readable {
  /** Into bytes of the caller's own; `undefined` when the record does not open. */
  readonly open: () => Uint8Array | undefined;
  /** What it holds on to. */
  readonly sizeBytes: number;
  readonly createdAt: number;
  readonly contentType: string;
}

/** Versions read lately, still sealed, with their unwrapped keys; bounded, the least recently read go first. */
export class ReadCache {
  readonly #versions = new Map<string, Readable>();
  readonly #latest = new Map<string, number>();
  #sizeBytes = 0;

  get(key: string): Readable | undefined {
    const found = this.#versions.get(key);
    if (found === undefined) return undefined;
    // A map keeps the order of insertion: in again is the newest.
    this.#versions.delete(key);
    this.#versions.set(key, found);
    return found;
  }

  set(key: string, readable: Readable): void {
    this.delete(key);
    this.#versions.set(key, readable);
    this.#sizeBytes += readable.sizeBytes;
    for (const oldest of this.#versions.keys()) {
      if (this.#sizeBytes <= LIMITS.vaultCachedBytes && this.#versions.size <= LIMITS.vaultCachedKeys) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    this.#sizeBytes -= this.#versions.get(key)?.sizeBytes ?? 0;
    this.#versions.delete(key);
  }

  /** The live version of a path. */
  latest(path: string): number | undefined {
    return this.#latest.get(path);
  }

  setLatest(path: string, version: number): void {
    if (this.#latest.size >= LIMITS.vaultCachedKeys) {
      const [oldest] = this.#latest.keys();
      if (oldest !== undefined) this.#latest.delete(oldest);
    }
    this.#latest.set(path, version);
  }

  forgetLatest(path: string): void {
    this.#latest.delete(path);
  }
}
