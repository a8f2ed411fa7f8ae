import { LIMITS } from "../core/index.ts";
import type { Labels } from "./secret-types.ts";

/** A value with what it takes to open it again, still sealed. */
export interface Readable {
  /** Into bytes of the caller's own; `undefined` when the record does not open. */
  readonly open: () => Uint8Array | undefined;
  /** What it holds on to. */
  readonly sizeBytes: number;
  readonly createdAt: number;
  readonly contentType: string;
  /** Unix ms; 0: never. */
  readonly expiresAt: number;
}

/** A path's live version; whether it has expired meanwhile is for the reader to see. */
export interface Live {
  readonly version: number;
  /** Unix ms; 0: never. */
  readonly expiresAt: number;
  readonly labels: Labels;
}

/** Characters of labels past which a live version is not remembered: 4 096 of the largest would be 24 MiB. */
const LABELS_MAX = 1_024;

/** Versions read lately, still sealed, with their unwrapped keys; bounded, the least recently read go first. */
export class ReadCache {
  readonly #versions = new Map<string, Readable>();
  readonly #live = new Map<string, Live>();
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

  live(path: string): Live | undefined {
    return this.#live.get(path);
  }

  setLive(path: string, live: Live): void {
    if (Object.entries(live.labels).flat().join("").length > LABELS_MAX) return;
    if (this.#live.size >= LIMITS.vaultCachedKeys) {
      const [oldest] = this.#live.keys();
      if (oldest !== undefined) this.#live.delete(oldest);
    }
    this.#live.set(path, live);
  }

  forgetLive(path: string): void {
    this.#live.delete(path);
  }
}
