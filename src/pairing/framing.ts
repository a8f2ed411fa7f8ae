import { concat, copyOf, LIMITS } from "../core/index.ts";
import { badMessage } from "./messages.ts";

/**
 * Messages on the pairing stream:
 *
 * | bytes | field |
 * | --- | --- |
 * | 1–3 | length n of the message, minimal varint (7 bits a byte, low first), 1 to 16384 |
 * | n | `PairMessage` |
 */

const LENGTH_BYTES_MAX = 3;

export function framePairMessage(message: Uint8Array): Uint8Array {
  if (message.length === 0 || message.length > LIMITS.pairingMessageBytes) {
    throw new RangeError(`framePairMessage: message of ${message.length} bytes`);
  }
  const length: number[] = [];
  for (let rest = message.length; rest > 0; rest >>>= 7)
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
  return concat(Uint8Array.from(length), message);
}

/** Cuts a byte stream into messages, the same for any split of the bytes. Holds at most one message. */
export class PairMessageDecoder {
  #held: Uint8Array = new Uint8Array(0);

  /**
   * Copies what it keeps.
   * @returns the messages that `bytes` completed, as views.
   * @throws GatehouseError `pairing.bad-message` on a zero, oversized or padded length, before its bytes are held.
   */
  push(bytes: Uint8Array): readonly Uint8Array[] {
    let rest = concat(this.#held, bytes);
    const messages: Uint8Array[] = [];
    for (let head = readLength(rest); head !== undefined; head = readLength(rest)) {
      const end = head.bytes + head.length;
      if (rest.length < end) break;
      messages.push(rest.subarray(head.bytes, end));
      rest = rest.subarray(end);
    }
    this.#held = copyOf(rest);
    return messages;
  }

  /** True between messages: the only place where a stream may end. */
  get isEmpty(): boolean {
    return this.#held.length === 0;
  }
}

function readLength(bytes: Uint8Array): { readonly bytes: number; readonly length: number } | undefined {
  let length = 0;
  for (const [index, byte] of bytes.subarray(0, LENGTH_BYTES_MAX).entries()) {
    length |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) {
      if (length === 0 || length > LIMITS.pairingMessageBytes) throw badMessage("length out of bounds");
      if (index > 0 && byte === 0) throw badMessage("padded length");
      return { bytes: index + 1, length };
    }
  }
  if (bytes.length >= LENGTH_BYTES_MAX) throw badMessage("length out of bounds");
  return undefined;
}
