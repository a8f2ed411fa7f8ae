/** Our daemon at the far end of the link, paired there with the device that the near end then is. */
import { startGatehouse } from "../peers/gatehouse-server.ts";
import type { Server } from "../support/targets.ts";
import { answerRequests } from "../support/worker-process.ts";

export interface HostRequest {
  readonly host: string;
}

let server: Promise<Server> | undefined;
let isEnding = false;

process.on("SIGTERM", end);
process.on("SIGINT", end);
answerRequests(async (request) => {
  server = startGatehouse((request as HostRequest).host);
  return { target: (await server).target };
}, end);

/** The daemon and the homes go with this process, whichever way it is told to end, and however often. */
function end(): void {
  if (isEnding) return;
  isEnding = true;
  void closeServer().finally(() => process.exit(0));
}

async function closeServer(): Promise<void> {
  await (await server)?.[Symbol.asyncDispose]();
}
