/** Our daemon as anybody runs it, with one device paired and one secret that the device may read. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Resources } from "../../src/core/index.ts";
import { Install } from "../../test/support/gatehouse-process.ts";
import { pairDevice } from "../../test/support/paired-device.ts";
import { LOOPBACK, PAYLOAD_BYTES } from "../contender.ts";
import type { WatchedServer } from "../support/targets.ts";

const SECRET_PATH = "shared/bench";

/** All calls of a run come from one device, which is to find the transport's limit and not the one it is held to. */
const CONFIG = '[limits]\ncalls = "1000000/s"\n';

export async function startGatehouse(host = LOOPBACK.host): Promise<WatchedServer> {
  await using resources = new Resources();
  const gatehouse = resources.use(await Install.create());
  await mkdir(gatehouse.home, { mode: 0o700 });
  await writeFile(join(gatehouse.home, "config.toml"), CONFIG, { mode: 0o600 });
  const daemon = resources.use(await gatehouse.serve(["--init", "--open-pairing"], `${host}:0`));
  const device = resources.use(await pairDevice(daemon, "bench-client"));
  await gatehouse.json(["vault", "put", SECRET_PATH], new Uint8Array(PAYLOAD_BYTES.read).fill(7));
  const owned = resources.move();
  return {
    target: { peer: "gatehouse", home: device.install.home, on: device.on, secretPath: SECRET_PATH },
    pid: daemon.pid,
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}
