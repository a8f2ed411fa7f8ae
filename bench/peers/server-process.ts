/** A peer's server in its own process: one request names it, the answer is its port. */
import type { EchoServer, TlsMaterial } from "../contender.ts";
import { answerRequests } from "../support/worker-process.ts";
import { serveGrpcEcho } from "./grpc.ts";
import { serveMatrixaiEcho } from "./matrixai.ts";

export interface ServeRequest {
  readonly peer: "grpc-js" | "matrixai";
  readonly tls: TlsMaterial;
}

const SERVERS: Readonly<Record<ServeRequest["peer"], (tls: TlsMaterial) => Promise<EchoServer>>> = {
  "grpc-js": serveGrpcEcho,
  matrixai: serveMatrixaiEcho,
};

answerRequests(async (request) => {
  const { peer, tls } = request as ServeRequest;
  const { port } = await SERVERS[peer](tls);
  return { port };
});
