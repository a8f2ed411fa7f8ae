import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GatehouseError, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Gate } from "../../src/quic/gate.ts";
import { type Admission, QuicServer, type ServerHandshake } from "../../src/quic/index.ts";
import { RawQuicClient } from "../support/raw-quic-client.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";

const REQUESTS = "gatehouse/1";
const PAIRING = "gatehouse-pair/1";

let fixtures: TlsFixtures;
let stranger: TlsFixtures;

beforeAll(() => {
  fixtures = new TlsFixtures();
  stranger = new TlsFixtures();
});
afterAll(() => {
  fixtures[Symbol.dispose]();
  stranger[Symbol.dispose]();
});

function listen(admit: (handshake: ServerHandshake) => Admission): Promise<QuicServer> {
  return QuicServer.listen({
    listen: [{ host: "127.0.0.1", port: 0 }],
    identity: fixtures.leaf("server", "serverAuth"),
    caPem: fixtures.caPem,
    alpn: REQUESTS,
    admit,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
}

/** Admits everybody and notes the bytes that streams deliver. */
function recorder(): {
  admit: (handshake: ServerHandshake) => Admission;
  seen: ServerHandshake[];
  heard: string[];
} {
  const seen: ServerHandshake[] = [];
  const heard: string[] = [];
  const admit = (handshake: ServerHandshake): Admission => {
    seen.push(handshake);
    return {
      kind: "admitted",
      accept: (connection) =>
        connection.onStream((stream) =>
          stream.attach({
            data: (bytes, fin) => {
              heard.push(Buffer.from(bytes).toString());
              stream.write(Buffer.from("ok"), fin);
            },
            drain: () => undefined,
            closed: () => undefined,
          }),
        ),
    };
  };
  return { admit, seen, heard };
}

/** A session ticket got by a handshake of `identity`. */
async function ticketFrom(endpoint: QuicServer, alpn: string): Promise<Uint8Array> {
  const identity = alpn === PAIRING ? stranger.selfSigned("joiner") : fixtures.leaf("device", "clientAuth");
  using client = await RawQuicClient.open({ remote: endpoint.address, identity, alpn });
  await client.until(() => client.connection.session() !== null);
  return client.connection.session() ?? new Uint8Array(0);
}

describe("the gate", () => {
  it("feeds no request packet of a peer that is not admitted, even from the datagram that ends its handshake", async () => {
    const { admit } = recorder();
    await using endpoint = await listen(admit);
    const identity = fixtures.leaf("device", "clientAuth");
    using client = await RawQuicClient.open({ remote: endpoint.address, identity, alpn: REQUESTS });
    await client.send(client.take());
    while (!client.connection.isEstablished()) await client.received();
    client.connection.streamSend(0, Buffer.from("let me in"), true);
    const flight = Buffer.concat(client.take());
    for (const verdict of [false, true]) {
      const fed: Buffer[] = [];
      const gate = new Gate(
        (packet) => fed.push(packet.bytes),
        () => verdict,
      );
      gate.receive(flight);
      const isShort = fed.map((packet) => ((packet[0] ?? 0) & 0x80) === 0);
      expect(isShort.filter((short) => !short).length).toBeGreaterThan(0);
      expect(isShort.includes(true)).toBe(verdict);
    }
  });

  it("tells a refused peer why", async () => {
    const error = new GatehouseError("device.revoked", "revoked");
    await using endpoint = await listen(() => ({ kind: "refused", cause: "device.revoked", error }));
    const identity = fixtures.leaf("device", "clientAuth");
    using client = await RawQuicClient.open({ remote: endpoint.address, identity, alpn: REQUESTS });
    await client.until(() => client.connection.peerError() !== null);
    expect(client.connection.peerError()).toMatchObject({ isApp: true, errorCode: 0x12 });
    expect(Buffer.from(client.connection.peerError()?.reason ?? []).toString()).toBe("revoked");
  });

  it("delivers what an admitted peer sent together with the end of its handshake", async () => {
    const { admit, heard } = recorder();
    await using endpoint = await listen(admit);
    const identity = fixtures.leaf("device", "clientAuth");
    using client = await RawQuicClient.open({ remote: endpoint.address, identity, alpn: REQUESTS });
    await client.send(client.take());
    while (!client.connection.isEstablished()) await client.received();
    client.connection.streamSend(0, Buffer.from("at once"), true);
    await client.until(() => client.connection.streamReadable(0));
    expect(heard).toEqual(["at once"]);
  });

  it("holds early request packets that overtake the handshake until the peer is admitted", async () => {
    const { admit, heard } = recorder();
    await using endpoint = await listen(admit);
    const identity = fixtures.leaf("device", "clientAuth");
    using client = await RawQuicClient.open({ remote: endpoint.address, identity, alpn: REQUESTS });
    await client.send(client.take());
    while (!client.connection.isEstablished()) await client.received();
    const finish = client.take();
    client.connection.streamSend(0, Buffer.from("overtaking"), true);
    const request = client.take();
    await client.send(request);
    expect(heard).toEqual([]);
    await client.send(finish);
    await client.until(() => client.connection.streamReadable(0));
    expect(heard).toEqual(["overtaking"]);
  });
});

describe("session tickets", () => {
  it("of the pairing window open nothing: not the strict door, not the same window, not the next", async () => {
    const { admit, seen } = recorder();
    await using endpoint = await listen(admit);
    const window = endpoint.openPairing(PAIRING);
    const session = await ticketFrom(endpoint, PAIRING);
    const identity = stranger.selfSigned("again");

    // Each connection of a window has ticket keys of its own: a ticket is a handshake like any other there.
    using same = await RawQuicClient.open({ remote: endpoint.address, identity, alpn: PAIRING, session });
    await same.until(() => same.connection.isEstablished() && seen.length === 2);
    expect(same.connection.isResumed()).toBe(false);
    const admittedBefore = seen.length;

    window[Symbol.dispose]();
    using strict = await RawQuicClient.open({ remote: endpoint.address, identity, alpn: REQUESTS, session });
    await strict.until(() => strict.connection.peerError() !== null);
    expect(strict.connection.isResumed()).toBe(false);
    expect(strict.connection.peerError()).toMatchObject({ isApp: false });
    expect(seen).toHaveLength(admittedBefore);

    using _next = endpoint.openPairing(PAIRING);
    using later = await RawQuicClient.open({ remote: endpoint.address, identity, alpn: PAIRING, session });
    await later.until(() => later.connection.isEstablished());
    expect(later.connection.isResumed()).toBe(false);
  });

  it("of the strict door are judged by admission again", async () => {
    const { admit, seen } = recorder();
    await using endpoint = await listen(admit);
    const session = await ticketFrom(endpoint, REQUESTS);
    const identity = fixtures.leaf("device", "clientAuth");
    using client = await RawQuicClient.open({ remote: endpoint.address, identity, alpn: REQUESTS, session });
    await client.until(() => client.connection.isEstablished() && seen.length === 2);
    expect(seen.map(({ isResumed, certificates }) => [isResumed, certificates.length])).toEqual([
      [false, 1],
      [true, 1],
    ]);
  });
});
