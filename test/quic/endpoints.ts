/** Two real endpoints with test certificates, for whatever network a test puts between them. */
import { type Clock, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import {
  type Admission,
  ClientTls,
  connectQuic,
  type QuicClientConnection,
  type QuicConnectOptions,
  QuicServer,
  type QuicServerOptions,
  type QuicStream,
  type SocketAddress,
  type TlsIdentity,
} from "../../src/quic/index.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";

export const REQUESTS = "gatehouse/1";
export const PAIRING = "gatehouse-pair/1";

export interface Echoed {
  readonly text: string;
  readonly isEarlyData: boolean;
}

/** Sends back what comes, as it comes. */
export function echo(stream: QuicStream): void {
  stream.attach({
    data: (bytes, fin) => {
      if (!stream.write(Uint8Array.from(bytes), fin)) stream.pause();
    },
    drain: () => stream.resume(),
    closed: () => undefined,
  });
}

export const letIn: Admission = { kind: "admitted", accept: (connection) => connection.onStream(echo) };

/** Like `letIn`, and keeps what came. */
export function recording(): { readonly admission: Admission; readonly heard: Echoed[] } {
  const heard: Echoed[] = [];
  const take = (stream: QuicStream): void => {
    stream.attach({
      data: (bytes, fin) => {
        heard.push({ text: Buffer.from(bytes).toString(), isEarlyData: stream.isEarlyData });
        stream.write(Uint8Array.from(bytes), fin);
      },
      drain: () => undefined,
      closed: () => undefined,
    });
  };
  return { heard, admission: { kind: "admitted", accept: (connection) => connection.onStream(take) } };
}

/** Certificates for one server and one client, and ways to open both. */
export class Endpoints implements Disposable {
  readonly fixtures = new TlsFixtures();
  readonly server: TlsIdentity = this.fixtures.leaf("server", "serverAuth");
  readonly device: TlsIdentity = this.fixtures.leaf("device", "clientAuth");
  readonly clock: Clock;

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
  }

  listen(options: Partial<QuicServerOptions> = {}): Promise<QuicServer> {
    return QuicServer.listen({
      listen: [{ host: "127.0.0.1", port: 0 }],
      ...{ identity: this.server, caPem: this.fixtures.caPem, alpn: REQUESTS },
      admit: () => letIn,
      ...{ clock: this.clock, random: systemRandom, logger: silentLogger },
      ...options,
    });
  }

  tls(): Promise<ClientTls> {
    const verification = { kind: "strict", caPem: this.fixtures.caPem } as const;
    return ClientTls.create({ alpn: REQUESTS, identity: this.device, verification });
  }

  async dial(
    address: SocketAddress,
    options: Partial<QuicConnectOptions> = {},
  ): Promise<QuicClientConnection> {
    return await connectQuic({
      ...{ address, serverName: "server.gatehouse.internal", tls: options.tls ?? (await this.tls()) },
      ...{ clock: this.clock, random: systemRandom, logger: silentLogger },
      ...options,
    });
  }

  /** A connection made only for its ticket. */
  async ticket(address: SocketAddress, tls: ClientTls): Promise<Uint8Array> {
    const session = deferred<Uint8Array>();
    await using client = await this.dial(address, { tls, onSession: session.resolve });
    await roundTrip(client, Buffer.from("ticket, please"));
    return await session.promise;
  }

  [Symbol.dispose](): void {
    this.fixtures[Symbol.dispose]();
  }
}

/** Writes `bytes`, ends, and collects the answer; rejects when the stream breaks. */
export function roundTrip({ connection }: QuicClientConnection, bytes: Uint8Array): Promise<Buffer> {
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

interface Deferred<Value> {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
}

export function deferred<Value>(): Deferred<Value> {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
