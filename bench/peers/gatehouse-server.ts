/** Our daemon as anybody runs it, with one device paired and one secret that the device may read. */
import { Resources } from "../../src/core/index.ts";
import { type Daemon, Install, isObject, text } from "../../test/support/gatehouse-process.ts";
import { PAYLOAD_BYTES } from "../contender.ts";
import type { Server } from "../support/targets.ts";

const SECRET_PATH = "shared/bench";

export async function startGatehouse(): Promise<Server> {
  await using resources = new Resources();
  const gatehouse = resources.use(await Install.create());
  const device = resources.use(await Install.create());
  const daemon = resources.use(await gatehouse.serve(["--init", "--open-pairing"]));
  const on = await pair(daemon, device);
  await gatehouse.json(["vault", "put", SECRET_PATH], new Uint8Array(PAYLOAD_BYTES.read).fill(7));
  const owned = resources.move();
  return {
    target: { peer: "gatehouse", home: device.home, on, secretPath: SECRET_PATH },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

/** Answers the name under which the device now knows the gatehouse. */
async function pair(daemon: Daemon, device: Install): Promise<string> {
  const { code } = await daemon.event("pairing-open");
  const joined = await device.json(["pair", "join", daemon.address, "--code", text(code)]);
  const { gatehouse } = joined;
  if (!isObject(gatehouse)) throw new Error("pair join names no gatehouse");
  return text(gatehouse["name"]);
}
