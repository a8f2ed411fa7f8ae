import { LOOPBACK, type Operation, type Place, type TlsMaterial } from "../contender.ts";
import type { ServeRequest } from "../peers/server-process.ts";
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

export type ContenderName = Target["peer"];

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

export async function startPeer(peer: ServeRequest["peer"], place: Place = LOOPBACK): Promise<Server> {
  const { host } = place;
  const { server, client } = await peerCertificates();
  const worker = WorkerProcess.start(new URL("../peers/server-process.ts", import.meta.url), place);
  try {
    const request: ServeRequest = { peer, tls: server, host };
    const { port } = (await worker.ask(request)) as { readonly port: number };
    return {
      target: { peer, host, port, tls: client },
      [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
    };
  } catch (failure) {
    await worker[Symbol.asyncDispose]();
    throw failure;
  }
}
