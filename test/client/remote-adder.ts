/** Adds gatehouses to a home's list, in a process of its own. */
import { fileURLToPath } from "node:url";
import { Remotes } from "../../src/client/index.ts";
import { systemRandom, unixMs } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";

export const ADDER_PATH = fileURLToPath(import.meta.url);

interface Order {
  readonly home: string;
  readonly prefix: string;
  readonly count: number;
}

async function add({ home, prefix, count }: Order): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const { id, publicKey } = DeviceIdentity.generate(systemRandom);
    await Remotes.of(home).add({
      ...{ name: `${prefix}-${index}`, gatehouseId: id, identityKey: publicKey, address: "192.0.2.1:7443" },
      ...{ caCertificates: [Uint8Array.of(1)], certificate: Uint8Array.of(2), deviceName: "phone" },
      ...{ role: "member", pairedAt: unixMs(0), certificateExpiresAt: unixMs(1) },
    });
  }
}

if (process.argv[1] === ADDER_PATH) {
  process.on("message", (order) => {
    void add(order as Order).then(() => process.send?.({ event: "done" }));
  });
  process.send?.({ event: "ready" });
}
