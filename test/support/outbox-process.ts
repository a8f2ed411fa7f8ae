/**
 * A process that leaves changes to its outbox when it is told to. It speaks over IPC: `ready` when it has talked to the
 * gatehouse, then `{ home, paths }` come in, and `stored` goes out when all are on disk.
 */
import { fileURLToPath } from "node:url";
import { connect } from "../../src/client/index.ts";
import { METHODS } from "../../src/gen/index.ts";

export const OUTBOX_PROCESS_PATH = fileURLToPath(import.meta.url);

interface Order {
  readonly home: string;
  /** One put each, all to this path, with these as values. */
  readonly path: string;
  readonly values: readonly string[];
}

const say = (event: string): void => void process.send?.({ event });

async function work({ home, path, values }: Order): Promise<void> {
  const client = await connect({ home });
  await client.call(METHODS.Health.Ping, {});
  say("ready");
  await new Promise((resolve) => process.once("message", resolve));
  for (const value of values) await client.enqueue(METHODS.Vault.Put, { path, value: Buffer.from(value) });
  say("stored");
}

if (process.argv[1] === OUTBOX_PROCESS_PATH) {
  process.once("message", (order: Order) => void work(order));
}
