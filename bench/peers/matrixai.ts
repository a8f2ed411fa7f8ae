/** The named peer: `@matrixai/quic`'s own classes over the same native library, mutual TLS, one stream a call. */
import { webcrypto } from "node:crypto";
import { events, QUICClient, QUICServer } from "@matrixai/quic";
import {
  type Caller,
  type ContenderClient,
  type EchoServer,
  PAYLOADS,
  SERVER_NAME,
  type TlsMaterial,
} from "../contender.ts";

type Logging = NonNullable<ConstructorParameters<typeof QUICServer>[0]["logger"]>;

const HMAC = { name: "HMAC", hash: "SHA-256" } as const;
/** Its classes write a line to stderr for every stream otherwise, which would be what is measured. */
const silent: Logging = Object.assign(Object.create(null), {
  getChild: () => silent,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
});

const TRANSPORT = { maxIdleTimeout: 30_000, initialMaxStreamsBidi: 1_000_000 } as const;

export type MatrixaiStream = events.EventQUICConnectionStream["detail"];

export function serveMatrixaiEcho(tls: TlsMaterial, host: string): Promise<EchoServer> {
  return serveMatrixai(tls, host, ({ readable, writable }) => readable.pipeTo(writable));
}

export async function serveMatrixai(
  tls: TlsMaterial,
  host: string,
  answer: (stream: MatrixaiStream) => Promise<void>,
): Promise<EchoServer> {
  const server = new QUICServer({
    logger: silent,
    crypto: await serverCrypto(),
    config: { ...TRANSPORT, ...tlsConfig(tls), key: tls.key, cert: tls.certificate },
  });
  server.addEventListener(events.EventQUICServerConnection.name, (event: Event) =>
    answerStreams(event, answer),
  );
  await server.start({ host, port: 0 });
  return {
    port: server.port,
    [Symbol.asyncDispose]: () => server.stop({ force: true }),
  };
}

export function matrixaiClient(tls: TlsMaterial, port: number): ContenderClient {
  return { connect: () => connect(tls, port) };
}

async function connect(tls: TlsMaterial, port: number): Promise<Caller> {
  const client = await connectMatrixai(tls, port);
  return {
    call: (operation) => echo(client, PAYLOADS[operation]),
    [Symbol.asyncDispose]: () => client.destroy({ force: true }),
  };
}

export function connectMatrixai(tls: TlsMaterial, port: number): Promise<QUICClient> {
  return QUICClient.createQUICClient({
    host: "127.0.0.1",
    port,
    localHost: "127.0.0.1",
    serverName: SERVER_NAME,
    logger: silent,
    crypto: { ops: { randomBytes: async (data) => void webcrypto.getRandomValues(new Uint8Array(data)) } },
    config: { ...TRANSPORT, ...tlsConfig(tls), key: tls.key, cert: tls.certificate },
  });
}

async function echo(client: QUICClient, payload: Uint8Array): Promise<void> {
  const stream = client.connection.newStream();
  const writer = stream.writable.getWriter();
  await writer.write(payload);
  await writer.close();
  let received = 0;
  for await (const chunk of stream.readable) received += chunk.length;
  if (received !== payload.length) throw new Error("matrixai: the echo has another length");
}

function answerStreams(event: Event, answer: (stream: MatrixaiStream) => Promise<void>): void {
  if (!(event instanceof events.EventQUICServerConnection)) return;
  event.detail.addEventListener(events.EventQUICConnectionStream.name, (opened: Event) => {
    if (!(opened instanceof events.EventQUICConnectionStream)) return;
    // A stream that dies with its connection is the client's business: it counts its own failures.
    answer(opened.detail).catch(() => undefined);
  });
}

function tlsConfig({ ca }: TlsMaterial): { ca: string; verifyPeer: true } {
  return { ca, verifyPeer: true };
}

async function serverCrypto(): Promise<ConstructorParameters<typeof QUICServer>[0]["crypto"]> {
  const secret = webcrypto.getRandomValues(new Uint8Array(32));
  const key = await webcrypto.subtle.importKey("raw", secret, HMAC, false, ["sign", "verify"]);
  return {
    key: secret.buffer,
    ops: {
      sign: (_key, data) => webcrypto.subtle.sign(HMAC, key, data),
      verify: (_key, data, signature) => webcrypto.subtle.verify(HMAC, key, signature, data),
    },
  };
}
