import { expect, it } from "vitest";
import { LIMITS, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { QuicServer } from "../../src/quic/index.ts";
import { RawQuicClient } from "../support/raw-quic-client.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";

/** Below the mark of one stream, above what the client lets each stream send. */
const ANSWER_BYTES = LIMITS.streamWriteHighWaterBytes - 1;
const STREAMS = 60;

it("a peer that reads none of many answers is seen to be slow, though each alone is small", async () => {
  using fixtures = new TlsFixtures();
  const writes: boolean[] = [];
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
            data: () => void writes.push(stream.write(new Uint8Array(ANSWER_BYTES), true)),
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
  await client.until(() => client.connection.isEstablished());
  for (let id = 0; id < 4 * STREAMS; id += 4) client.connection.streamSend(id, Buffer.from("x"), true);
  await client.until(() => writes.length === STREAMS);
  const free = writes.filter((isLow) => isLow).length;
  expect(free).toBeGreaterThan(0);
  expect(free * (ANSWER_BYTES - 100_000)).toBeLessThanOrEqual(LIMITS.connectionWriteHighWaterBytes);
});
