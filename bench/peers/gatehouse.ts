/**
 * Our own client as an application has it: the built library and a paired home, whose identity, TLS context and tickets
 * are kept.
 */
import {
  type Caller,
  type ContenderClient,
  type Operation,
  PAYLOAD_BYTES,
  PAYLOADS,
  type Start,
} from "../contender.ts";
import type { GatehouseTarget } from "../support/targets.ts";

type Library = typeof import("../../src/client/index.ts");
type Client = import("../../src/client/index.ts").Client;

/** What the client is asked for; without a ticket each start is cold. */
const RESUMPTIONS = { cold: "none", resumed: "handshake", early: "early" } as const satisfies Record<
  Start,
  string
>;

/** The build, not the sources: what tsx makes of them is slower than what people run. */
const LIBRARY = new URL("../../dist/client/index.js", import.meta.url).href;

/** grpc-js has no deadline of its own: what is too late is the suite's to say, for both alike. */
const OPTIONS = { timeoutMs: 120_000 } as const;

export async function gatehouseClient({ home, on, secretPath }: GatehouseTarget): Promise<ContenderClient> {
  const library: Library = await import(LIBRARY);
  const { METHODS } = library;
  const device = await library.Device.open(home);
  const connect = async (start: Start): Promise<Caller> => {
    const client = await device.connect({ on, resumption: RESUMPTIONS[start] });
    const ping = async (operation: Operation): Promise<Uint8Array | undefined> => {
      const payload = PAYLOADS[operation];
      return (await client.call(METHODS.Health.Ping, { payload }, OPTIONS)).payload;
    };
    const read = async (): Promise<Uint8Array | undefined> =>
      (await client.call(METHODS.Vault.Get, { path: secretPath }, OPTIONS)).value;
    return {
      start: () => startOf(client.handshake),
      handshakeMs: () => client.handshakeMs,
      call: async (operation) => {
        const answer = await (operation === "read" ? read() : ping(operation));
        if (answer?.length !== PAYLOAD_BYTES[operation]) throw new Error(`gatehouse: wrong ${operation}`);
      },
      [Symbol.asyncDispose]: async () => client[Symbol.asyncDispose](),
    };
  };
  return {
    connect: () => connect("early"),
    starts: {
      cold: () => connect("cold"),
      resumed: () => connect("resumed"),
      early: () => connect("early"),
    },
  };
}

/** How it really was. */
function startOf({ isResumed, earlyData }: Client["handshake"]): Start {
  if (!isResumed) return "cold";
  return earlyData === "accepted" ? "early" : "resumed";
}
