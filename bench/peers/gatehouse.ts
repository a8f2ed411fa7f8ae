/**
 * Our own client as an application has it: the built library and a paired home, whose identity and TLS context are kept;
 * each start is a new connection with a whole handshake.
 */
import { type Caller, type ContenderClient, type Operation, PAYLOAD_BYTES } from "../contender.ts";
import type { GatehouseTarget } from "../support/targets.ts";

type Library = typeof import("../../src/client/index.ts");

/** The build, not the sources: what tsx makes of them is slower than what people run. */
const LIBRARY = new URL("../../dist/client/index.js", import.meta.url).href;

export async function gatehouseClient({ home, on, secretPath }: GatehouseTarget): Promise<ContenderClient> {
  const library: Library = await import(LIBRARY);
  const { METHODS } = library;
  const device = await library.Device.open(home);
  const payload = new Uint8Array(PAYLOAD_BYTES.ping).fill(7);
  return {
    connect: async (): Promise<Caller> => {
      const client = await device.connect({ on });
      const calls: Readonly<Record<Operation, () => Promise<Uint8Array | undefined>>> = {
        ping: async () => (await client.call(METHODS.Health.Ping, { payload })).payload,
        read: async () => (await client.call(METHODS.Vault.Get, { path: secretPath })).value,
      };
      return {
        call: async (operation) => {
          const answer = await calls[operation]();
          if (answer?.length !== PAYLOAD_BYTES[operation]) throw new Error(`gatehouse: wrong ${operation}`);
        },
        [Symbol.asyncDispose]: async () => client[Symbol.asyncDispose](),
      };
    },
  };
}
