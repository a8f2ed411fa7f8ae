import type { KeyObject } from "node:crypto";
import { LIMITS } from "../core/index.ts";

/** What it takes to open a value again without unwrapping its key. */
export interface Readable {
  readonly key: KeyObject;
  readonly binding: Uint8Array;
  readonly sealedValue: Uint8Array;
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
    this.#sizeBytes += readable.sealedValue.length;
    for (const oldest of this.#versions.keys()) {
      if (this.#sizeBytes <= LIMITS.vaultCachedBytes && this.#versions.size <= LIMITS.vaultCachedKeys) break;
      this.delete(oldest);
    }
  }

  delete(key: string): void {
    this.#sizeBytes -= this.#versions.get(key)?.sealedValue.length ?? 0;
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
