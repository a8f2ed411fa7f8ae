import { GatehouseError, LIMITS } from "../core/index.ts";
import { badFrame, type Frame, readFrame } from "./frame.ts";

/** Three bytes of varint hold 2 097 151: more than `LIMITS.frameBytes`. */
const PREFIX_BYTES_MAX = 3;
const BUFFER_BYTES_MIN = 256;
const EMPTY = new Uint8Array();

interface Prefix {
  readonly lengthBytes: number;
  readonly payloadBytes: number;
}

/**
 * Cuts a stream of bytes into frames; however the bytes are split, the frames are the same.
 *
 * `push` a chunk, take frames with `next` until undefined, then `keep` before the chunk's lender takes it
 * back. A frame that is whole in its chunk is read where it lies. What is declared is checked before it is
 * waited for, and the buffer grows with what has come, not with what was announced.
 */
export class FrameDecoder {
  #bytes: Uint8Array = EMPTY;
  #start = 0;
  #end = 0;
  #isLent = false;

  /** Bytes that came and belong to no frame taken so far. */
  get unreadBytes(): number {
    return this.#end - this.#start;
  }

  /** Borrows `chunk` until `keep`. */
  push(chunk: Uint8Array): void {
    if (this.unreadBytes === 0) {
      this.#wipe();
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      this.#isLent = true;
      return;
    }
    this.#makeRoom(chunk.length);
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next whole frame, or undefined until more has come. A message's bytes are a view: good until the next
   * `push` or `keep`.
   * @throws GatehouseError `rpc.too-large` or `rpc.bad-frame`; the stream cannot be read on after it.
   */
  next(): Frame | undefined {
    const prefix = this.#prefix();
    if (prefix === undefined) return undefined;
    const from = this.#start + prefix.lengthBytes;
    const to = from + prefix.payloadBytes;
    if (to > this.#end) return undefined;
    this.#start = to;
    return readFrame(this.#bytes.subarray(from, to));
  }

  /** Copies what is unread, so that the chunk may go back to its lender. */
  keep(): void {
    if (!this.#isLent) return;
    if (this.unreadBytes > 0) {
      this.#makeRoom(0);
      return;
    }
    this.#bytes = EMPTY;
    this.#start = 0;
    this.#end = 0;
    this.#isLent = false;
  }

  /** Forgets what is unread: nobody will take it any more. */
  clear(): void {
    this.#wipe();
    this.#bytes = EMPTY;
    this.#start = 0;
    this.#end = 0;
    this.#isLent = false;
  }

  /** What is ours, and was read or will not be, may have been a secret. */
  #wipe(): void {
    if (!this.#isLent) this.#bytes.fill(0);
  }

  #prefix(): Prefix | undefined {
    let payloadBytes = 0;
    for (let count = 0; count < PREFIX_BYTES_MAX; count += 1) {
      const at = this.#start + count;
      if (at >= this.#end) return undefined;
      const byte = this.#bytes[at] ?? 0;
      payloadBytes |= (byte & 0x7f) << (7 * count);
      if (byte < 0x80) return checkedPrefix(count + 1, payloadBytes, byte);
    }
    throw badFrame(`a frame's length takes more than ${PREFIX_BYTES_MAX} bytes`);
  }

  /** Leaves what is unread in a buffer of our own with `count` bytes free behind it. */
  #makeRoom(count: number): void {
    const needed = this.unreadBytes + count;
    const unread = this.#bytes.subarray(this.#start, this.#end);
    if (this.#isLent || needed > this.#bytes.length) {
      const size = Math.max(BUFFER_BYTES_MIN, this.#isLent ? needed : 2 * needed);
      const larger = new Uint8Array(size);
      larger.set(unread);
      this.#wipe();
      this.#bytes = larger;
      this.#isLent = false;
    } else if (this.#end + count > this.#bytes.length) {
      this.#bytes.copyWithin(0, this.#start, this.#end);
    } else {
      return;
    }
    this.#start = 0;
    this.#end = unread.length;
  }
}

function checkedPrefix(lengthBytes: number, payloadBytes: number, lastByte: number): Prefix {
  if (payloadBytes > LIMITS.frameBytes) {
    throw new GatehouseError("rpc.too-large", `a frame is larger than ${LIMITS.frameBytes} bytes`);
  }
  if (lengthBytes > 1 && lastByte === 0) throw badFrame("a frame's length is not in its shortest form");
  return { lengthBytes, payloadBytes };
}
