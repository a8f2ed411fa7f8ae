/** A peer's server in its own process: one request names it, the answer is its port. */
import type { EchoServer, TlsMaterial } from "../contender.ts";
import { answerRequests } from "../support/worker-process.ts";
import { serveGrpcEcho } from "./grpc.ts";
import { serveMatrixaiEcho } from "./matrixai.ts";

export interface ServeRequest {
  readonly peer: "grpc-js" | "matrixai";
  readonly tls: TlsMaterial;
  readonly host: string;
}

type Serve = (tls: TlsMaterial, host: string) => Promise<EchoServer>;

const SERVERS: Readonly<Record<ServeRequest["peer"], Serve>> = {
  "grpc-js": serveGrpcEcho,
  matrixai: serveMatrixaiEcho,
};

answerRequests(async (request) => {
  const { peer, tls, host } = request as ServeRequest;
  const { port } = await SERVERS[peer](tls, host);
  return { port };
});
