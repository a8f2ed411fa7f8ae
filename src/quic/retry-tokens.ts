/**
 * Retry tokens (RFC 9000 §8.1.3): proof that whoever returns one receives at the address it was sent to. Bound to address,
 * port, the client's first connection id and the time; good for this process only.
 *
 * | bytes | field |
 * | --- | --- |
 * | 8 | milliseconds on this process's monotonic clock, big-endian |
 * | 1 + n | the client's first destination connection id |
 * | 32 | HMAC-SHA256 over what stands before, the new connection id, and `ip:port` |
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { Clock, Random } from "../core/index.ts";
import { formatAddress, type SocketAddress } from "./address.ts";

const KEY_BYTES = 32;
const MAC_BYTES = 32;
const HEADER_BYTES = 9;
/** One round trip and a slow client; a token that was overheard is worth nothing soon after. */
const LIFETIME_MS = 5_000;

export class RetryTokens {
  readonly #clock: Clock;
  readonly #key: Uint8Array;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#key = random.bytes(KEY_BYTES);
  }

  /** A token for a client that is told to use `newId` from now on. */
  mint(client: SocketAddress, originalId: Uint8Array, newId: Uint8Array): Buffer {
    const body = Buffer.alloc(HEADER_BYTES + originalId.length);
    body.writeBigUInt64BE(BigInt(Math.floor(this.#clock.monotonicMs())));
    body[HEADER_BYTES - 1] = originalId.length;
    body.set(originalId, HEADER_BYTES);
    return Buffer.concat([body, this.#mac(body, newId, client)]);
  }

  /** The client's first connection id, or undefined for a token that is not ours, not for this client, or too old. */
  check(token: Buffer, client: SocketAddress, newId: Uint8Array): Buffer | undefined {
    const idBytes = token[HEADER_BYTES - 1] ?? 0;
    if (token.length !== HEADER_BYTES + idBytes + MAC_BYTES) return undefined;
    const body = token.subarray(0, HEADER_BYTES + idBytes);
    if (!timingSafeEqual(token.subarray(body.length), this.#mac(body, newId, client))) return undefined;
    const ageMs = this.#clock.monotonicMs() - Number(body.readBigUInt64BE());
    return ageMs <= LIFETIME_MS ? Buffer.from(body.subarray(HEADER_BYTES)) : undefined;
  }

  #mac(body: Uint8Array, newId: Uint8Array, client: SocketAddress): Buffer {
    return createHmac("sha256", this.#key)
      .update(body)
      .update(Uint8Array.of(newId.length))
      .update(newId)
      .update(formatAddress(client))
      .digest();
  }
}
