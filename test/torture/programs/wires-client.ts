/**
 * A client of the wires torture: puts secrets, each to a path of its own, until a line comes on standard input. Output: a JSON
 * line for each call that has settled, and for each change of the wire.
 */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { connect, METHODS } from "../../../src/client/index.ts";
import { isGatehouseError } from "../../../src/core/index.ts";

const WORKERS = 8;
const PAUSE_MS = 20;
const [home = "", run = "", timeoutText = ""] = process.argv.slice(2);
const timeoutMs = Number(timeoutText);

await using client = await connect({ home, onWire: (change) => say({ did: "wire", ...change }) });
let isStopped = false;
void once(process.stdin, "data").then(() => {
  isStopped = true;
});
say({ did: "ready" });
await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
process.exit(0);

async function work(worker: number): Promise<void> {
  for (let number = 1; !isStopped; number += 1) {
    const path = `wires/${run}/${worker}-${number}`;
    const startedMs = performance.now();
    const code = await put(path);
    say({ did: "call", path, code, ms: Math.round(performance.now() - startedMs), wire: client.wire });
    await delay(PAUSE_MS);
  }
}

/** Undefined for success. */
async function put(path: string): Promise<string | undefined> {
  try {
    await client.call(METHODS.Vault.Put, { path, value: Buffer.from(path) }, { timeoutMs });
    return undefined;
  } catch (failure) {
    return isGatehouseError(failure) ? failure.code : String(failure);
  }
}

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
