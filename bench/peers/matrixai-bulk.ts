/** Bulk over the streams of `@matrixai/quic`'s own classes. */
import type { EchoServer, TlsMaterial } from "../contender.ts";
import {
  BULK_DONE,
  BULK_ORDER_BYTES,
  type BulkCaller,
  type BulkClient,
  type BulkOrder,
  checkWhole,
  chunksOf,
  encodeBulkOrder,
  parseBulkOrder,
} from "../support/bulk.ts";
import { connectMatrixai, type MatrixaiStream, serveMatrixai } from "./matrixai.ts";

type Writer = WritableStreamDefaultWriter<Uint8Array>;

export function serveMatrixaiBulk(tls: TlsMaterial, host: string): Promise<EchoServer> {
  return serveMatrixai(tls, host, answer);
}

export function matrixaiBulkClient(tls: TlsMaterial, port: number): BulkClient {
  return {
    connect: async (): Promise<BulkCaller> => {
      const client = await connectMatrixai(tls, port);
      return {
        transfer: (order) => transfer(client.connection.newStream(), order),
        [Symbol.asyncDispose]: () => client.destroy({ force: true }),
      };
    },
  };
}

async function transfer({ readable, writable }: MatrixaiStream, order: BulkOrder): Promise<void> {
  const writer: Writer = writable.getWriter();
  await writer.write(encodeBulkOrder(order));
  if (order.direction === "up") await writeAll(writer, order.sizeBytes);
  await writer.close();
  let bytes = 0;
  for await (const chunk of readable) bytes += chunk.length;
  checkWhole(bytes, order.direction === "up" ? BULK_DONE.length : order.sizeBytes);
}

async function answer({ readable, writable }: MatrixaiStream): Promise<void> {
  const writer: Writer = writable.getWriter();
  let order: BulkOrder | undefined;
  let bytes = 0;
  for await (const chunk of readable) {
    // The first write of the client, which fits the first packet, so that it comes whole.
    order ??= parseBulkOrder(chunk);
    bytes += chunk.length;
  }
  if (order?.direction === "down") await writeAll(writer, order.sizeBytes);
  else if (bytes - BULK_ORDER_BYTES === order?.sizeBytes) await writer.write(BULK_DONE);
  await writer.close();
}

async function writeAll(writer: Writer, sizeBytes: number): Promise<void> {
  for (const chunk of chunksOf(sizeBytes)) await writer.write(chunk);
}
