import type { Socket } from "node:dgram";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { ClientTls, connectQuic, QuicServer } from "../../src/quic/index.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";

/** The real sockets, within reach: a source port of 0 can be forged on the network only with a raw socket. */
const { sockets } = vi.hoisted(() => ({ sockets: [] as Socket[] }));

vi.mock("node:dgram", async (original) => {
  const dgram = await original<typeof import("node:dgram")>();
  const createSocket = (...options: Parameters<typeof dgram.createSocket>): Socket => {
    const socket = dgram.createSocket(...options);
    sockets.push(socket);
    return socket;
  };
  return { ...dgram, createSocket };
});

const REQUESTS = "gatehouse/1";
const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };

let fixtures: TlsFixtures;

beforeAll(() => {
  fixtures = new TlsFixtures();
});
afterAll(() => fixtures[Symbol.dispose]());

/** Asks for another version: the one thing that a single datagram of a stranger gets an answer to. */
function otherVersion(): Buffer {
  const datagram = Buffer.alloc(1_200);
  datagram.set([0xc0, 0x0a, 0x0a, 0x0a, 0x0a, 8]);
  datagram[14] = 8;
  return datagram;
}

describe("datagrams from an address that cannot be answered", () => {
  it.each([
    { what: "port 0", from: { address: "127.0.0.1", port: 0 } },
    { what: "no address", from: { address: "", port: 70_000 } },
  ])("do not stop the door for others: $what", async ({ from }) => {
    await using server = await QuicServer.listen({
      ...effects,
      listen: [{ host: "127.0.0.1", port: 0 }],
      identity: fixtures.leaf("server", "serverAuth"),
      caPem: fixtures.caPem,
      alpn: REQUESTS,
      admit: () => ({ kind: "admitted" }),
    });
    const socket = sockets.at(-1);
    const size = 1_200;
    for (let count = 0; count < 600; count += 1) {
      socket?.emit("message", otherVersion(), { ...from, family: "IPv4", size });
      await new Promise((resolve) => setImmediate(resolve));
    }

    await using client = await connectQuic({
      ...effects,
      address: server.address,
      serverName: "server.gatehouse.internal",
      tls: await ClientTls.create({
        alpn: REQUESTS,
        identity: fixtures.leaf("device", "clientAuth"),
        verification: { kind: "strict", caPem: fixtures.caPem },
      }),
      timeoutMs: 2_000,
    });
    expect(client.connection.isOpen).toBe(true);
  });
});
