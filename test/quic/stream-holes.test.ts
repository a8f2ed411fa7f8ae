import { expect, it } from "vitest";
import { silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { QuicServer } from "../../src/quic/index.ts";
import { RawQuicClient } from "../support/raw-quic-client.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";

const BATCH = 64;
const STREAMS_MAX = 40_000;

it("a peer that leaves a stream out for good is sent away before what is remembered of it piles up", async () => {
  using fixtures = new TlsFixtures();
  await using server = await QuicServer.listen({
    ...{ clock: systemClock, random: systemRandom, logger: silentLogger },
    listen: [{ host: "127.0.0.1", port: 0 }],
    identity: fixtures.leaf("server", "serverAuth"),
    caPem: fixtures.caPem,
    alpn: "gatehouse/1",
    admit: () => ({
      kind: "admitted",
      accept: (connection) =>
        connection.onStream((stream) =>
          stream.attach({
            data: (_bytes, fin) => void stream.write(new Uint8Array(0), fin),
            drain: () => undefined,
            closed: () => undefined,
          }),
        ),
    }),
  });
  using client = await RawQuicClient.open({
    remote: server.address,
    identity: fixtures.leaf("device", "clientAuth"),
    alpn: "gatehouse/1",
  });
  const { connection } = client;
  await client.until(() => connection.isEstablished());

  // Stream 0 never comes.
  let opened = 1;
  const buffer = Buffer.alloc(16);
  while (connection.peerError() === null && opened < STREAMS_MAX) {
    const count = Math.min(BATCH, connection.peerStreamsLeftBidi());
    for (let index = 0; index < count; index += 1) {
      connection.streamSend(4 * opened, Buffer.from("x"), true);
      opened += 1;
    }
    await client.send(client.take());
    await client.received();
    for (const id of connection.readable()) connection.streamRecv(id, buffer);
  }
  expect(Buffer.from(connection.peerError()?.reason ?? []).toString()).toContain("never came");
  expect(opened).toBeGreaterThan(16_384);
}, 30_000);
