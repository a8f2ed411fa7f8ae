/** A client that moves bulk, in its own process: a fresh connection for each transfer, open before its time starts. */
import { engineBulkClient } from "../peers/engine.ts";
import { grpcBulkClient } from "../peers/grpc-bulk.ts";
import { matrixaiBulkClient } from "../peers/matrixai-bulk.ts";
import type { BulkClient, BulkOrder } from "./bulk.ts";
import { within } from "./load.ts";
import type { PeerTarget } from "./targets.ts";
import { answerRequests } from "./worker-process.ts";

export type BulkRequest =
  | { readonly kind: "target"; readonly target: PeerTarget }
  | { readonly kind: "transfer"; readonly order: BulkOrder; readonly patienceMs: number };

export interface BulkResult {
  /** Undefined: not done within the patience. */
  readonly durationMs: number | undefined;
}

let client: BulkClient | undefined;

answerRequests(async (request) => {
  const order = request as BulkRequest;
  if (order.kind === "target") {
    client = await clientOf(order.target);
    return {};
  }
  if (client === undefined) throw new Error("transfer before target");
  return transfer(client, order.order, order.patienceMs);
});

async function transfer(open: BulkClient, order: BulkOrder, patienceMs: number): Promise<BulkResult> {
  const caller = await open.connect();
  const startedMs = performance.now();
  const work = caller.transfer(order).then(() => performance.now() - startedMs);
  const durationMs = await within<number | undefined>(work, patienceMs, undefined);
  // Not waited for: a contender that got stuck may get stuck in closing, too.
  void Promise.resolve(caller[Symbol.asyncDispose]()).catch(() => undefined);
  return { durationMs };
}

async function clientOf({ peer, tls, host, port }: PeerTarget): Promise<BulkClient> {
  switch (peer) {
    case "grpc-js":
      return grpcBulkClient(tls, host, port);
    case "matrixai":
      return matrixaiBulkClient(tls, port);
    case "engine":
      return engineBulkClient(tls, host, port);
  }
}
