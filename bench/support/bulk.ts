/**
 * One bulk transfer on one stream. The client begins with its order; `up`: `size` bytes follow, and the server, once it
 * has them all, answers one byte; `down`: the server sends `size` bytes.
 *
 * | offset | size | field |
 * | --- | --- | --- |
 * | 0 | 1 | direction: 1 up, 2 down |
 * | 1 | 4 | size in bytes, big-endian |
 */
export type Direction = "up" | "down";

export interface BulkOrder {
  readonly direction: Direction;
  readonly sizeBytes: number;
}

/** A client's side: resolves once the other application, for `down` this one, has every byte. */
export interface BulkCaller extends AsyncDisposable {
  transfer(order: BulkOrder): Promise<void>;
}

export interface BulkClient {
  connect(): Promise<BulkCaller>;
}

export const BULK_ORDER_BYTES = 5;
/** Written at once, by every contender; a message of grpc-js. */
export const CHUNK_BYTES = 65_536;
export const BULK_DONE = Buffer.of(1);

const CHUNK = Buffer.alloc(CHUNK_BYTES, 7);

export function encodeBulkOrder({ direction, sizeBytes }: BulkOrder): Buffer {
  const bytes = Buffer.alloc(BULK_ORDER_BYTES);
  bytes.writeUInt8(direction === "up" ? 1 : 2, 0);
  bytes.writeUInt32BE(sizeBytes, 1);
  return bytes;
}

/** @throws RangeError for bytes that are too few or say no direction. */
export function parseBulkOrder(bytes: Uint8Array): BulkOrder {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const direction = view.getUint8(0);
  if (direction !== 1 && direction !== 2) throw new RangeError(`no direction ${direction}`);
  return { direction: direction === 1 ? "up" : "down", sizeBytes: view.getUint32(1) };
}

/** `sizeBytes` in chunks of one shared buffer, which nobody may change. */
export function* chunksOf(sizeBytes: number): Generator<Buffer, undefined> {
  for (let left = sizeBytes; left > 0; left -= CHUNK_BYTES)
    yield left < CHUNK_BYTES ? CHUNK.subarray(0, left) : CHUNK;
}

/** @throws when `received` is not the whole of `sizeBytes`. */
export function checkWhole(received: number, sizeBytes: number): void {
  if (received !== sizeBytes) throw new Error(`${received} bytes came of ${sizeBytes}`);
}
