/** grpc-js as it moves bulk: a client stream up, a server stream down, raw messages of 64 KiB, mutual TLS. */
import { once } from "node:events";
import * as grpc from "@grpc/grpc-js";
import type { EchoServer, TlsMaterial } from "../contender.ts";
import {
  BULK_DONE,
  type BulkCaller,
  type BulkClient,
  type BulkOrder,
  checkWhole,
  chunksOf,
  encodeBulkOrder,
  parseBulkOrder,
} from "../support/bulk.ts";
import { clientCredentials, clientOptions, listenGrpc } from "./grpc.ts";

const UP_PATH = "/bench.Bulk/Up";
const DOWN_PATH = "/bench.Bulk/Down";
const asIs = (bytes: Buffer): Buffer => bytes;
const CODECS = {
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
} as const;

/** What our streams have, so that HTTP/2's own 64 KiB does not decide. */
const WINDOW = { "grpc-node.flow_control_window": 262_144 } as const;

export async function serveGrpcBulk(tls: TlsMaterial, host: string): Promise<EchoServer> {
  const server = new grpc.Server(WINDOW);
  server.addService(
    {
      up: { path: UP_PATH, requestStream: true, responseStream: false, ...CODECS },
      down: { path: DOWN_PATH, requestStream: false, responseStream: true, ...CODECS },
    },
    { up: takeUp, down: sendDown },
  );
  return listenGrpc(server, tls, host);
}

export function grpcBulkClient(tls: TlsMaterial, host: string, port: number): BulkClient {
  const credentials = clientCredentials(tls);
  return {
    connect: async (): Promise<BulkCaller> => {
      const client = new grpc.Client(`${host}:${port}`, credentials, { ...clientOptions, ...WINDOW });
      await new Promise<void>((resolve, reject) => {
        client.waitForReady(Date.now() + 10_000, (failure) =>
          failure === undefined ? resolve() : reject(failure),
        );
      });
      return {
        transfer: (order) => (order.direction === "up" ? up(client, order) : down(client, order)),
        [Symbol.asyncDispose]: async () => client.close(),
      };
    },
  };
}

function takeUp(call: grpc.ServerReadableStream<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>): void {
  let order: BulkOrder | undefined;
  let bytes = 0;
  call.on("data", (chunk: Buffer) => {
    if (order === undefined) order = parseBulkOrder(chunk);
    else bytes += chunk.length;
  });
  call.on("end", () => {
    if (bytes === order?.sizeBytes) answer(null, BULK_DONE);
    else answer({ code: grpc.status.DATA_LOSS });
  });
}

function sendDown(call: grpc.ServerWritableStream<Buffer, Buffer>): void {
  const { sizeBytes } = parseBulkOrder(call.request);
  // A client that went away has given the transfer up already.
  writeAll(call, sizeBytes).catch(() => undefined);
}

async function up(client: grpc.Client, order: BulkOrder): Promise<void> {
  let settle: { resolve(): void; reject(failure: Error): void } | undefined;
  const answered = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  const call = client.makeClientStreamRequest(UP_PATH, asIs, asIs, (failure) => {
    if (failure === null) settle?.resolve();
    else settle?.reject(failure);
  });
  call.write(encodeBulkOrder(order));
  await Promise.all([writeAll(call, order.sizeBytes), answered]);
}

async function down(client: grpc.Client, order: BulkOrder): Promise<void> {
  const call = client.makeServerStreamRequest(DOWN_PATH, asIs, asIs, encodeBulkOrder(order));
  let bytes = 0;
  call.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  await once(call, "end");
  checkWhole(bytes, order.sizeBytes);
}

interface Sink extends NodeJS.EventEmitter {
  write(chunk: Buffer): boolean;
  end(): unknown;
}

async function writeAll(call: Sink, sizeBytes: number): Promise<void> {
  for (const chunk of chunksOf(sizeBytes)) {
    if (!call.write(chunk)) await once(call, "drain");
  }
  call.end();
}
