import { LOOPBACK, type Operation, type Place, type TlsMaterial } from "../contender.ts";
import type { MemoryRequest, ServeRequest, ServerMemory } from "../peers/server-process.ts";
import { peerCertificates } from "./certificates.ts";
import { WorkerProcess } from "./worker-process.ts";

export interface PeerTarget {
  readonly peer: ServeRequest["peer"];
  readonly host: string;
  readonly port: number;
  readonly tls: TlsMaterial;
}

export interface GatehouseTarget {
  readonly peer: "gatehouse";
  /** Home of a paired device. */
  readonly home: string;
  /** Name it knows the daemon by. */
  readonly on: string;
  /** Holds `PAYLOAD_BYTES.read` bytes and may be read by that device. */
  readonly secretPath: string;
}

/** Whom a client process is to reach, and with what. */
export type Target = PeerTarget | GatehouseTarget;

/** Whole stacks, as people use them; `engine`, our transport alone, stands in where a job is none of calls. */
export type ContenderName = Exclude<Target["peer"], "engine">;

/** Peers first in each round, ours last; what is not listed for one is not its job. */
export const OPERATIONS: Readonly<Record<ContenderName, readonly Operation[]>> = {
  "grpc-js": ["ping", "read"],
  matrixai: ["ping"],
  gatehouse: ["ping", "read"],
};

/** A running server and how to reach it. */
export interface Server extends AsyncDisposable {
  readonly target: Target;
}

/** One whose process can be watched. */
export interface WatchedServer extends Server {
  readonly pid: number;
}

/** One whose process answers for its memory. */
export interface PeerServer extends WatchedServer {
  readonly target: PeerTarget;
  memory(): Promise<ServerMemory>;
}

export async function startPeer(
  peer: ServeRequest["peer"],
  place: Place = LOOPBACK,
  job: ServeRequest["job"] = "echo",
): Promise<PeerServer> {
  const { host } = place;
  const { server, client } = await peerCertificates();
  const worker = WorkerProcess.start(new URL("../peers/server-process.ts", import.meta.url), place);
  try {
    const request: ServeRequest = { peer, job, tls: server, host };
    const { port } = (await worker.ask(request)) as { readonly port: number };
    return {
      target: { peer, host, port, tls: client },
      pid: worker.pid,
      memory: async () => (await worker.ask({ kind: "memory" } satisfies MemoryRequest)) as ServerMemory,
      [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
    };
  } catch (failure) {
    await worker[Symbol.asyncDispose]();
    throw failure;
  }
}
