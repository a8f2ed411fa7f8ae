/** A peer's server, or our bare transport's, in its own process. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { EchoServer, TlsMaterial } from "../contender.ts";
import { answerRequests } from "../support/worker-process.ts";
import { connectionIdsAlive, watchConnectionIds } from "./connection-id-watch.ts";
import { serveEngineBulk, serveEngineEcho } from "./engine.ts";
import { serveGrpcEcho } from "./grpc.ts";
import { serveGrpcBulk } from "./grpc-bulk.ts";
import { serveMatrixaiEcho } from "./matrixai.ts";
import { serveMatrixaiBulk } from "./matrixai-bulk.ts";

export interface ServeRequest {
  readonly peer: "grpc-js" | "matrixai" | "engine";
  readonly job: "echo" | "bulk";
  readonly tls: TlsMaterial;
  readonly host: string;
}

/** Asked of a server that is up. */
export interface MemoryRequest {
  readonly kind: "memory";
}

/** After a full garbage collection. */
export interface ServerMemory {
  readonly rssBytes: number;
  /** JavaScript objects and the buffers they hold; the rest of what is resident is native. */
  readonly heapBytes: number;
  /** Connection ids in stock at the connection that has most; undefined where they cannot be seen. */
  readonly connectionIdsMax: number | undefined;
}

type Serve = (tls: TlsMaterial, host: string) => Promise<EchoServer>;

const SERVERS: Readonly<Record<ServeRequest["peer"], Readonly<Record<ServeRequest["job"], Serve>>>> = {
  "grpc-js": { echo: serveGrpcEcho, bulk: serveGrpcBulk },
  matrixai: { echo: serveMatrixaiEcho, bulk: serveMatrixaiBulk },
  engine: { echo: serveEngineEcho, bulk: serveEngineBulk },
};

answerRequests(async (request) => {
  const order = request as ServeRequest | MemoryRequest;
  if ("kind" in order) return memory();
  const { peer, job, tls, host } = order;
  if (peer === "engine") watchConnectionIds();
  const { port } = await SERVERS[peer][job](tls, host);
  return { port };
});

function memory(): ServerMemory {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  collect();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { rssBytes: rss, heapBytes: heapUsed + external, connectionIdsMax: connectionIdsAlive() };
}
