/** Our transport alone, as the daemon and the client have it under their calls: mutual TLS, streams of bytes. */
import {
  type Caller,
  type ContenderClient,
  type EchoServer,
  PAYLOADS,
  SERVER_NAME,
  type TlsMaterial,
} from "../contender.ts";
import {
  BULK_DONE,
  BULK_ORDER_BYTES,
  type BulkCaller,
  type BulkClient,
  type BulkOrder,
  checkWhole,
  chunksOf,
  encodeBulkOrder,
  parseBulkOrder,
} from "../support/bulk.ts";

type Quic = typeof import("../../src/quic/index.ts");
type Core = typeof import("../../src/core/index.ts");
type Connection = import("../../src/quic/index.ts").QuicConnection;
type Stream = import("../../src/quic/index.ts").QuicStream;
type OnStream = import("../../src/quic/index.ts").OnStream;

const ALPN = "gatehouse/1";
const nothing = (): void => undefined;

interface Opened extends AsyncDisposable {
  readonly connection: Connection;
}

/** The build, not the sources: what tsx makes of them is slower than what people run. */
async function library(): Promise<{ readonly quic: Quic; readonly core: Core }> {
  const [quic, core]: [Quic, Core] = await Promise.all([
    import(new URL("../../dist/quic/index.js", import.meta.url).href),
    import(new URL("../../dist/core/index.js", import.meta.url).href),
  ]);
  return { quic, core };
}

export function serveEngineEcho(tls: TlsMaterial, host: string): Promise<EchoServer> {
  return serve(tls, host, (stream) =>
    stream.attach({
      data: (bytes, fin) => void stream.write(Uint8Array.from(bytes), fin),
      drain: nothing,
      closed: nothing,
    }),
  );
}

export function serveEngineBulk(tls: TlsMaterial, host: string): Promise<EchoServer> {
  return serve(tls, host, answerBulk);
}

export async function engineClient(tls: TlsMaterial, host: string, port: number): Promise<ContenderClient> {
  const open = await opener(tls, host, port);
  return {
    connect: async (): Promise<Caller> => {
      const opened = await open();
      return {
        call: (operation) => echo(opened.connection.openStream(), PAYLOADS[operation]),
        [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
      };
    },
  };
}

export async function engineBulkClient(tls: TlsMaterial, host: string, port: number): Promise<BulkClient> {
  const open = await opener(tls, host, port);
  return {
    connect: async (): Promise<BulkCaller> => {
      const opened = await open();
      return {
        transfer: (order) => transfer(opened.connection.openStream(), order),
        [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
      };
    },
  };
}

async function serve(tls: TlsMaterial, host: string, take: OnStream): Promise<EchoServer> {
  const { quic, core } = await library();
  const server = await quic.QuicServer.listen({
    ...{ clock: core.systemClock, random: core.systemRandom, logger: core.silentLogger },
    listen: [{ host, port: 0 }],
    identity: { keyPem: tls.key, certificatePem: tls.certificate },
    caPem: tls.ca,
    alpn: ALPN,
    admit: () => ({ kind: "admitted", accept: (connection) => connection.onStream(take) }),
  });
  return {
    port: server.address.port,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Makes the TLS context once. */
async function opener(tls: TlsMaterial, host: string, port: number): Promise<() => Promise<Opened>> {
  const { quic, core } = await library();
  const context = await quic.ClientTls.create({
    identity: { keyPem: tls.key, certificatePem: tls.certificate },
    verification: { kind: "strict", caPem: tls.ca },
    alpn: ALPN,
  });
  return () =>
    quic.connectQuic({
      ...{ clock: core.systemClock, random: core.systemRandom, logger: core.silentLogger },
      ...{ address: { host, port }, serverName: SERVER_NAME, tls: context },
    });
}

function echo(stream: Stream, payload: Uint8Array): Promise<void> {
  const answered = received(stream, payload.length);
  stream.write(payload, true);
  return answered;
}

function transfer(stream: Stream, order: BulkOrder): Promise<void> {
  const isUp = order.direction === "up";
  const pump = isUp ? pumped(stream, order.sizeBytes) : nothing;
  const answered = received(stream, isUp ? BULK_DONE.length : order.sizeBytes, pump);
  stream.write(encodeBulkOrder(order), !isUp);
  pump();
  return answered;
}

/** Resolves when the peer has ended its side after `sizeBytes`. */
function received(stream: Stream, sizeBytes: number, drain: () => void = nothing): Promise<void> {
  return new Promise((resolve, reject) => {
    let bytes = 0;
    stream.attach({
      data: (chunk, fin) => {
        bytes += chunk.length;
        if (!fin) return;
        if (bytes === sizeBytes) resolve();
        else reject(new Error(`engine: ${bytes} bytes came of ${sizeBytes}`));
      },
      drain,
      closed: (error) => reject(error ?? new Error("engine: the stream ended early")),
    });
  });
}

/** Writes `sizeBytes` and the end, as far as the stream takes them at each call. */
function pumped(stream: Stream, sizeBytes: number): () => void {
  const chunks = chunksOf(sizeBytes);
  let left = sizeBytes;
  return () => {
    for (let next = chunks.next(); next.value !== undefined; next = chunks.next()) {
      left -= next.value.length;
      if (!stream.write(next.value, left === 0)) return;
    }
  };
}

const answerBulk: OnStream = (stream) => {
  let order: BulkOrder | undefined;
  let bytes = 0;
  let pump = nothing;
  stream.attach({
    data: (chunk, fin) => {
      bytes += chunk.length;
      if (order === undefined) {
        // The first write of the client, which fits the first packet, so that it comes whole.
        order = parseBulkOrder(chunk);
        if (order.direction === "down") pump = pumped(stream, order.sizeBytes);
        pump();
      }
      if (!fin || order.direction === "down") return;
      checkWhole(bytes - BULK_ORDER_BYTES, order.sizeBytes);
      stream.write(BULK_DONE, true);
    },
    drain: () => pump(),
    closed: nothing,
  });
};
