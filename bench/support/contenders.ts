import type { Resources } from "../../src/core/index.ts";
import type { ClientRequest } from "./client-process.ts";
import { type ContenderName, startPeer, type WatchedServer } from "./targets.ts";
import { WorkerProcess } from "./worker-process.ts";

/** One stack under test: a server, and a client that is connected to it, in two processes. */
export interface Contender {
  readonly name: ContenderName;
  readonly server: WatchedServer;
  readonly client: WorkerProcess;
}

/** Starts them one after the other; `resources` own their processes. */
export async function startContenders(
  names: readonly ContenderName[],
  resources: Resources,
  progress: (line: string) => void,
): Promise<readonly Contender[]> {
  const contenders: Contender[] = [];
  for (const name of names) {
    progress(`starting ${name}`);
    const server = resources.use(await startServer(name));
    const client = resources.use(WorkerProcess.start(new URL("client-process.ts", import.meta.url)));
    const request: ClientRequest = { kind: "target", target: server.target };
    await client.ask(request);
    contenders.push({ name, server, client });
  }
  return contenders;
}

async function startServer(name: ContenderName): Promise<WatchedServer> {
  if (name !== "gatehouse") return startPeer(name);
  const { startGatehouse } = await import("../peers/gatehouse-server.ts");
  return startGatehouse();
}
