/**
 * A gRPC message as HTTP/2 DATA carries it (grpc/doc/PROTOCOL-HTTP2.md):
 *
 * | bytes | what                                            |
 * | ----- | ----------------------------------------------- |
 * | 1     | `00` as it is, `01` compressed: we take none    |
 * | 4     | length of the message, big-endian               |
 * | n     | the message                                     |
 */
import { concat, GatehouseError } from "../core/index.ts";
import { encodeMessageHead } from "../rpc/index.ts";

export const PREFIX_BYTES = 5;

/**
 * Turns gRPC's prefixes into the router's frames while the bytes come: nothing is gathered here, so what half-come requests
 * hold is counted and bounded where it is for every other wire.
 */
export class MessageReader {
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixBytes = 0;
  #leftBytes = 0;

  /** Whether what has come so far ends with a message. */
  get isBetweenMessages(): boolean {
    return this.#prefixBytes === 0 && this.#leftBytes === 0;
  }

  /**
   * The same bytes as frames, however they were cut. Views of `chunk` among them.
   * @throws GatehouseError `rpc.too-large`, or `rpc.bad-frame` for a compressed message; no more can be read after it.
   */
  *read(chunk: Uint8Array): Generator<Uint8Array, undefined> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#leftBytes > 0) {
        const part = chunk.subarray(at, at + this.#leftBytes);
        at += part.length;
        this.#leftBytes -= part.length;
        yield part;
        continue;
      }
      const taken = this.#takePrefix(chunk, at);
      at += taken;
      if (this.#prefixBytes < PREFIX_BYTES) return undefined;
      const head = this.#head();
      const part = chunk.subarray(at, at + this.#leftBytes);
      at += part.length;
      this.#leftBytes -= part.length;
      yield part.length === 0 ? head : concat(head, part);
    }
    return undefined;
  }

  #takePrefix(chunk: Uint8Array, at: number): number {
    const part = chunk.subarray(at, at + PREFIX_BYTES - this.#prefixBytes);
    this.#prefix.set(part, this.#prefixBytes);
    this.#prefixBytes += part.length;
    return part.length;
  }

  #head(): Uint8Array {
    const [flag, ...length] = this.#prefix;
    this.#prefixBytes = 0;
    if (flag !== 0) throw new GatehouseError("rpc.bad-frame", "a message is compressed, or no gRPC message");
    this.#leftBytes = length.reduce((size, byte) => size * 256 + byte, 0);
    return encodeMessageHead(this.#leftBytes);
  }
}

/** `message` behind its prefix, in memory of its own. */
export function prefixed(message: Uint8Array): Buffer {
  const bytes = Buffer.allocUnsafe(PREFIX_BYTES + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}
