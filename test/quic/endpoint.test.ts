import { createSocket } from "node:dgram";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GatehouseError, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import {
  type Admission,
  ClientTls,
  type ClientTlsOptions,
  connectQuic,
  type QuicClientConnection,
  type QuicConnectOptions,
  QuicServer,
  type QuicServerLimits,
  type QuicStream,
  type ServerHandshake,
  type TlsIdentity,
} from "../../src/quic/index.ts";
import { RawQuicClient } from "../support/raw-quic-client.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";
import { deferred } from "./endpoints.ts";

const REQUESTS = "gatehouse/1";
const PAIRING = "gatehouse-pair/1";
const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };

let fixtures: TlsFixtures;
let stranger: TlsFixtures;
let server: TlsIdentity;
let device: TlsIdentity;

beforeAll(() => {
  fixtures = new TlsFixtures();
  stranger = new TlsFixtures();
  server = fixtures.leaf("server", "serverAuth");
  device = fixtures.leaf("device", "clientAuth");
});
afterAll(() => {
  fixtures[Symbol.dispose]();
  stranger[Symbol.dispose]();
});

/** Sends back what comes, as it comes. */
function echo(stream: QuicStream): void {
  stream.attach({
    data: (bytes, fin) => {
      if (!stream.write(Uint8Array.from(bytes), fin)) stream.pause();
    },
    drain: () => stream.resume(),
    closed: () => undefined,
  });
}

const letIn: Admission = { kind: "admitted", accept: (connection) => connection.onStream(echo) };

function listen(
  admit: (handshake: ServerHandshake) => Admission = () => letIn,
  limits: Partial<QuicServerLimits> = {},
): Promise<QuicServer> {
  return QuicServer.listen({
    listen: [{ host: "127.0.0.1", port: 0 }],
    identity: server,
    caPem: fixtures.caPem,
    alpn: REQUESTS,
    admit,
    limits,
    ...effects,
  });
}

async function dial(
  { address }: QuicServer,
  overrides: Partial<QuicConnectOptions & ClientTlsOptions> = {},
): Promise<QuicClientConnection> {
  const verification = { kind: "strict", caPem: fixtures.caPem } as const;
  const tls = await ClientTls.create({ alpn: REQUESTS, identity: device, verification, ...overrides });
  return await connectQuic({
    address,
    serverName: "server.gatehouse.internal",
    tls,
    ...effects,
    ...overrides,
  });
}

/** Writes `bytes`, ends, and collects the answer; rejects when the stream breaks. */
function roundTrip({ connection }: QuicClientConnection, bytes: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = [];
    const stream = connection.openStream();
    stream.attach({
      data: (part, fin) => {
        parts.push(Uint8Array.from(part));
        if (fin) resolve(Buffer.concat(parts));
      },
      drain: () => undefined,
      closed: (error) => reject(error ?? new Error("closed")),
    });
    stream.write(bytes, true);
  });
}

const code = (error: unknown): string => (error instanceof GatehouseError ? error.code : String(error));
const failure = (work: Promise<unknown>): Promise<string> => work.then(() => "no failure", code);

describe("a QUIC endpoint", () => {
  it("echoes on one stream between mutually authenticated peers", async () => {
    await using endpoint = await listen();
    await using client = await dial(endpoint);
    expect(await roundTrip(client, Buffer.from("hello"))).toEqual(Buffer.from("hello"));
    expect(client.connection.peerCertificates).toHaveLength(1);
    expect(client.connection.rttMs).toBeGreaterThan(0);
  });

  it("carries four megabytes both ways without losing a byte", async () => {
    await using endpoint = await listen();
    await using client = await dial(endpoint);
    const bytes = Buffer.from(new SeededRandom(7).bytes(4_194_304));
    expect(Buffer.compare(Buffer.from(await roundTrip(client, bytes)), bytes)).toBe(0);
  });

  it("carries more streams at once than the peer's credit allows to be open", async () => {
    await using endpoint = await listen();
    await using client = await dial(endpoint);
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) => roundTrip(client, Buffer.from(`call ${index}`))),
    );
    expect(answers.map((answer) => Buffer.from(answer).toString())).toEqual(
      Array.from({ length: 1_000 }, (_, index) => `call ${index}`),
    );
    expect(client.connection.streamCount).toBe(0);
  });

  it("keeps at most a window of unread data for a reader that has paused", async () => {
    let held: QuicStream | undefined;
    let received = 0;
    await using endpoint = await listen(() => ({
      kind: "admitted",
      accept: (connection) =>
        connection.onStream((stream) => {
          held = stream;
          stream.pause();
          stream.attach({
            data: (bytes, fin) => {
              received += bytes.length;
              if (fin) stream.write(new Uint8Array(0), true);
            },
            drain: () => undefined,
            closed: () => undefined,
          });
        }),
    }));
    await using client = await dial(endpoint);
    const stream = client.connection.openStream();
    const ended = new Promise<void>((resolve) => {
      stream.attach({ data: (_, fin) => fin && resolve(), drain: () => undefined, closed: () => resolve() });
    });
    expect(stream.write(new Uint8Array(2_000_000), true)).toBe(false);
    // A second stream goes past the stuck one; when it is answered, the window of the first is long full.
    while (held === undefined) await new Promise((resolve) => setImmediate(resolve));
    expect(received).toBe(0);
    expect(stream.queuedBytes).toBeGreaterThan(1_000_000);
    held.resume();
    await ended;
    expect(received).toBe(2_000_000);
  });

  it("tells a reader when the peer resets its stream", async () => {
    await using endpoint = await listen(() => ({
      kind: "admitted",
      accept: (connection) =>
        connection.onStream((stream) =>
          stream.attach({ data: () => stream.reset(1), drain: () => undefined, closed: () => undefined }),
        ),
    }));
    await using client = await dial(endpoint);
    expect(await failure(roundTrip(client, Buffer.from("x")))).toBe("rpc.cancelled");
  });

  it("survives a sink that throws, at the cost of that stream alone", async () => {
    let calls = 0;
    await using endpoint = await listen(() => ({
      kind: "admitted",
      accept: (connection) =>
        connection.onStream((stream) => {
          calls += 1;
          if (calls > 1) return echo(stream);
          return stream.attach({
            data: () => {
              throw new Error("a bug");
            },
            drain: () => undefined,
            closed: () => undefined,
          });
        }),
    }));
    await using client = await dial(endpoint);
    expect(await failure(roundTrip(client, Buffer.from("first")))).toBe("rpc.cancelled");
    expect(await roundTrip(client, Buffer.from("second"))).toEqual(Buffer.from("second"));
  });
});

describe("the strict context", () => {
  it("never asks admission about a stranger's certificate", async () => {
    let asked = 0;
    await using endpoint = await listen(() => {
      asked += 1;
      return letIn;
    });
    await using client = await dial(endpoint, { identity: stranger.leaf("device", "clientAuth") });
    expect(await failure(roundTrip(client, Buffer.from("x")))).toBe("quic.not-admitted");
    expect(asked).toBe(0);
  });

  it("refuses a self-signed certificate, a server's certificate and an unknown protocol", async () => {
    await using endpoint = await listen();
    for (const identity of [stranger.selfSigned("self"), server]) {
      await using client = await dial(endpoint, { identity });
      expect(await failure(roundTrip(client, Buffer.from("x")))).toBe("quic.not-admitted");
    }
    expect(await failure(dial(endpoint, { alpn: PAIRING }))).toBe("quic.not-admitted");
    expect(endpoint.counters.admitted).toBe(0);
  });

  it("closes with a readable reason when admission refuses, before any stream is seen", async () => {
    const error = new GatehouseError("device.revoked", "this device was revoked on 2026-01-01");
    await using endpoint = await listen(() => ({ kind: "refused", cause: "device.revoked", error }));
    await using client = await dial(endpoint);
    const reason = await roundTrip(client, Buffer.from("x")).catch((cause: unknown) => cause);
    expect(code(reason)).toBe("device.revoked");
    expect(String(reason)).toContain("revoked on 2026-01-01");
  });
});

describe("the client", () => {
  it("refuses a server that its authority did not certify, or that bears another name", async () => {
    await using endpoint = await listen();
    const foreign = { verification: { kind: "strict", caPem: stranger.caPem } } as const;
    expect(await failure(dial(endpoint, foreign))).toBe("quic.wrong-server");
    expect(await failure(dial(endpoint, { serverName: "other.gatehouse.internal" }))).toBe(
      "quic.wrong-server",
    );
  });

  it("refuses a server that its own further check refuses", async () => {
    await using endpoint = await listen();
    const checkPeer = (): never => {
      throw new GatehouseError("remote.key-changed", "another gatehouse");
    };
    expect(await failure(dial(endpoint, { checkPeer }))).toBe("remote.key-changed");
  });

  it("says so at once when nothing listens", async () => {
    const address = { host: "127.0.0.1", port: await unusedPort() };
    const endpoint = { address } as QuicServer;
    expect(await failure(dial(endpoint))).toBe("quic.unreachable");
  });

  it("gives up after its own time on a port that never answers", async () => {
    const silent = createSocket("udp4");
    await new Promise<void>((resolve) => silent.bind(0, "127.0.0.1", resolve));
    const endpoint = { address: { host: "127.0.0.1", port: silent.address().port } } as QuicServer;
    expect(await failure(dial(endpoint, { timeoutMs: 300 }))).toBe("quic.timed-out");
    expect(await failure(dial(endpoint, { signal: AbortSignal.timeout(100) }))).toBe("rpc.cancelled");
    silent.close();
  });

  it("hears why when the server shuts down", async () => {
    const endpoint = await listen();
    await using client = await dial(endpoint);
    await roundTrip(client, Buffer.from("x"));
    await endpoint[Symbol.asyncDispose]();
    expect((await client.connection.closed).code).toBe("rpc.draining");
    expect(await failure(roundTrip(client, Buffer.from("y")))).toBe("rpc.draining");
  });
});

describe("the pairing window", () => {
  it("lets any key through TLS while it is open, and nobody after", async () => {
    const seen: ServerHandshake[] = [];
    await using endpoint = await listen((handshake) => {
      seen.push(handshake);
      return letIn;
    });
    const joiner = { identity: stranger.selfSigned("joiner"), alpn: PAIRING } as const;
    const window = endpoint.openPairing(PAIRING);
    {
      await using client = await dial(endpoint, joiner);
      expect(await roundTrip(client, Buffer.from("pair"))).toEqual(Buffer.from("pair"));
    }
    expect(seen.map(({ context, alpn, isResumed }) => ({ context, alpn, isResumed }))).toEqual([
      { context: "pairing", alpn: PAIRING, isResumed: false },
    ]);
    window[Symbol.dispose]();
    expect(await failure(dial(endpoint, joiner))).toBe("quic.not-admitted");
    expect(seen).toHaveLength(1);
  });
});

describe("a call that is waited for", () => {
  it("ends at the server when its caller turns away, though nothing is being sent", async () => {
    const heard = deferred<void>();
    const ended = deferred<string>();
    const take = (stream: QuicStream): void =>
      stream.attach({
        data: (_bytes, fin) => void (fin && heard.resolve()),
        drain: () => undefined,
        closed: (error) => ended.resolve(error?.code ?? "closed"),
      });
    const accept: Admission = { kind: "admitted", accept: (connection) => connection.onStream(take) };
    await using endpoint = await listen(() => accept);
    await using client = await dial(endpoint);
    const stream = client.connection.openStream();
    stream.attach({ data: () => undefined, drain: () => undefined, closed: () => undefined });
    stream.write(Buffer.from("tell me when"), true);
    await heard.promise;
    // Once the end of the request is acknowledged, only STOP_SENDING is left to tell of it.
    await new Promise((resolve) => setTimeout(resolve, 100));
    stream.reset(0);
    expect(await ended.promise).toBe("rpc.cancelled");
  });
});

describe("garbage at the port", () => {
  it("does not stop a good client from being served, whatever the datagrams hold", async () => {
    await using endpoint = await listen();
    const random = new SeededRandom(42);
    const socket = createSocket("udp4");
    const starts = [
      [0xc0, 0, 0, 0, 1],
      [0xd0, 0, 0, 0, 1],
      [0xe0, 0, 0, 0, 1],
      [0xf0, 0, 0, 0, 1],
      [0x40],
      [0x80],
      [],
    ];
    for (let index = 0; index < 3_000; index += 1) {
      const datagram = Buffer.from(random.bytes(Math.floor(random.next() * 1_400)));
      datagram.set((starts[index % starts.length] ?? []).slice(0, datagram.length));
      await new Promise<void>((resolve) => {
        socket.send(datagram, endpoint.address.port, "127.0.0.1", () => resolve());
      });
    }
    socket.close();
    await using client = await dial(endpoint);
    expect(await roundTrip(client, Buffer.from("still here"))).toEqual(Buffer.from("still here"));
    expect(endpoint.counters.malformed).toBeGreaterThan(500);
    expect(endpoint.counters.unroutable).toBeGreaterThan(500);
  });

  it("answers a foreign version only when asked by a full-sized datagram, and with less than it got", async () => {
    await using endpoint = await listen();
    const socket = createSocket("udp4");
    const answers: Buffer[] = [];
    socket.on("message", (answer) => answers.push(answer));
    const ask = (length: number): Buffer => {
      const datagram = Buffer.alloc(length);
      datagram.set([0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 9]);
      return datagram;
    };
    for (const length of [100, 1_200]) socket.send(ask(length), endpoint.address.port, "127.0.0.1");
    await new Promise<void>((resolve) => socket.once("message", () => resolve()));
    socket.close();
    expect(answers).toHaveLength(1);
    expect(answers[0]?.subarray(1)).toEqual(
      Buffer.from([0, 0, 0, 0, 2, 9, 9, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1]),
    );
  });

  it("keeps no trace of an Initial that does not decrypt", async () => {
    await using endpoint = await listen(() => letIn, { handshakesPerSource: 1 });
    using raw = await RawQuicClient.open({ remote: endpoint.address, identity: device, alpn: REQUESTS });
    const [initial = Buffer.alloc(0)] = raw.take();
    for (let bit = 0; bit < 64; bit += 1) {
      const mutated = Buffer.from(initial);
      mutated[100 + bit] = (mutated[100 + bit] ?? 0) ^ (1 << (bit % 8));
      await raw.send([mutated]);
    }
    await using client = await dial(endpoint);
    expect(await roundTrip(client, Buffer.from("x"))).toEqual(Buffer.from("x"));
    expect(endpoint.counters).toMatchObject({ accepted: 2, malformed: 1, overLimit: 0 });
    expect(endpoint.counters.retries).toBeGreaterThanOrEqual(64);
    expect(endpoint.connectionCount).toBe(1);
  });

  it("bounds unfinished handshakes of one source", async () => {
    await using endpoint = await listen(() => letIn, { handshakesPerSource: 0 });
    expect(await failure(dial(endpoint, { timeoutMs: 300 }))).toBe("quic.timed-out");
    expect(endpoint.counters.overLimit).toBeGreaterThan(0);
  });
});

async function unusedPort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address();
  await new Promise<void>((resolve) => socket.close(() => resolve()));
  return port;
}
