/** Whether two lists of versions of secrets are the same, in order, without keeping either. */
import { createHash } from "node:crypto";
import { ByteWriter, utf8 } from "../core/index.ts";

export interface DigestedVersion {
  readonly path: string;
  readonly version: number;
  /** Borrowed. */
  readonly value: Uint8Array;
}

export class VersionDigest {
  readonly #hash = createHash("sha256");
  #count = 0;

  /** Versions so far. */
  get count(): number {
    return this.#count;
  }

  add({ path, version, value }: DigestedVersion): void {
    this.#count += 1;
    const valueHash = createHash("sha256").update(value).digest();
    this.#hash.update(new ByteWriter().prefixed(utf8(path)).u64(version).raw(valueHash).finish());
  }

  /** SHA-256; once. */
  finish(): Uint8Array {
    return new Uint8Array(this.#hash.digest());
  }
}
