/** Who gets through TLS to whom, while a pairing window is open and around it. */
import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { type ConnectionOptions, connect, createSecureContext, TLSSocket } from "node:tls";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { GatehouseError, LIMITS, silentLogger } from "../../src/core/index.ts";
import {
  type GrpcHandshake,
  GrpcServer,
  type GrpcServerOptions,
  SocketStream,
  type TcpPairingConnection,
  tlsExporter,
} from "../../src/grpc/index.ts";
import { Endpoints } from "../quic/endpoints.ts";
import { ManualClock } from "../support/manual-clock.ts";

const PAIRING = "gatehouse-pair/1";
const GREETING = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]),
]);

const endpoints = new Endpoints();
const stranger = endpoints.fixtures.selfSigned("stranger");
afterAll(() => endpoints[Symbol.dispose]());

let clock: ManualClock;
let server: GrpcServer<string>;
let isReadmitting: boolean;
/** Those who were judged, by door. */
let devices: GrpcHandshake[];
let strangers: GrpcHandshake[];
let guests: TcpPairingConnection[];

beforeEach(async () => {
  await open({});
});
afterEach(() => close());

async function open(limits: NonNullable<GrpcServerOptions<string>["limits"]>): Promise<void> {
  clock = new ManualClock();
  isReadmitting = false;
  [devices, strangers, guests] = [[], [], []];
  server = await GrpcServer.listen<string>({
    ...{ listen: [{ host: "127.0.0.1", port: 0 }], clock, logger: silentLogger, limits },
    ...{ identity: endpoints.server, caPem: endpoints.fixtures.caPem },
    admit: (handshake) => {
      devices.push(handshake);
      return { kind: "admitted" };
    },
    admitPairing: (handshake) => {
      strangers.push(handshake);
      return { kind: "admitted", accept: (connection) => void guests.push(connection) };
    },
    isReadmitting: () => isReadmitting,
    closing: (_cause, reason) => new GatehouseError("rpc.draining", reason),
  });
}

async function close(): Promise<void> {
  const closing = server[Symbol.asyncDispose]();
  clock.advance(LIMITS.grpcLingerMs);
  await closing;
}

const port = (): number => server.addresses[0]?.port ?? 0;
const shown = ({ keyPem: key, certificatePem: cert }: typeof stranger) => ({ key, cert });
const asDevice = { ...shown(endpoints.device), ALPNProtocols: ["h2"] };
const asStranger = { ...shown(stranger), ALPNProtocols: [PAIRING] };

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

function dial(options: ConnectionOptions, to = port()): TLSSocket {
  const socket = connect({
    ...{ host: "127.0.0.1", port: to, ca: endpoints.fixtures.caPem, servername: "server.gatehouse.internal" },
    ...options,
  });
  socket.on("error", () => undefined);
  return socket;
}

/** Says `words` once TLS is through, and listens to the end, or to the first word. */
async function meet(options: ConnectionOptions, words = GREETING, to = port()) {
  const socket = dial(options, to);
  let [said, failure, isThrough] = ["", "", false];
  socket.once("secureConnect", () => {
    isThrough = true;
    socket.write(words);
  });
  socket.once("error", (error: NodeJS.ErrnoException) => (failure = error.code ?? error.message));
  socket.on("data", (chunk: Buffer) => {
    said += chunk.toString("latin1");
    socket.destroy();
  });
  await new Promise((resolve) => socket.once("close", resolve));
  return { said, failure, isThrough };
}

/** A stranger who has come to pair, and the server's end of it. */
async function pair(): Promise<{ readonly near: TLSSocket; readonly far: TcpPairingConnection }> {
  const count = guests.length;
  const near = dial(asStranger);
  await once(near, "secureConnect");
  await until(() => guests.length > count);
  const far = guests.at(-1);
  if (far === undefined) throw new Error("nobody came");
  return { near, far };
}

describe("a pairing window over TCP", () => {
  it("offers its protocol while it is open, and at no other time", async () => {
    const refusal = { isThrough: false, failure: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL" };
    expect(await meet(asStranger)).toMatchObject(refusal);
    const window = server.openPairing(PAIRING);
    expect(() => server.openPairing(PAIRING)).toThrow("a window is open already");
    const { near, far } = await pair();
    window[Symbol.dispose]();
    expect(await meet(asStranger)).toMatchObject(refusal);
    const exporter = tlsExporter(near);
    expect(exporter).toHaveLength(32);
    expect(far.tlsExporter).toEqual(exporter);
    expect(strangers.map(({ context }) => context)).toEqual(["pairing"]);
    window[Symbol.dispose]();
    using _next = server.openPairing(PAIRING);
    expect(tlsExporter((await pair()).near)).not.toEqual(exporter);
  });

  it("lets nobody through who finishes TLS after it has closed, nor into the next one", async () => {
    for (const isFollowed of [false, true]) {
      const relay = await Holding.open(port());
      const window = server.openPairing(PAIRING);
      const ended = meet(asStranger, GREETING, relay.port);
      await relay.holds();
      window[Symbol.dispose]();
      const next = isFollowed ? server.openPairing(PAIRING) : undefined;
      relay.release();
      expect(await ended).toMatchObject({ said: "" });
      next?.[Symbol.dispose]();
      relay[Symbol.dispose]();
    }
    expect(strangers).toEqual([]);
    // It is what came late that is refused: the same relay, released in time, leads in.
    const relay = await Holding.open(port());
    using _window = server.openPairing(PAIRING);
    void meet(asStranger, GREETING, relay.port);
    await relay.holds();
    relay.release();
    await until(() => strangers.length === 1);
    relay[Symbol.dispose]();
  });

  it("gives strangers no word over HTTP/2, and asks nobody about them", async () => {
    using _window = server.openPairing(PAIRING);
    for (const greeting of [
      { ALPNProtocols: ["h2"] },
      { ...shown(stranger), ALPNProtocols: ["h2"] },
      { ...shown(stranger), ALPNProtocols: ["h2", PAIRING] },
      { ...shown(stranger), ALPNProtocols: [] },
    ]) {
      expect(await meet(greeting)).toMatchObject({ said: "" });
    }
    expect([devices, strangers]).toEqual([[], []]);
    expect(server.counters).toMatchObject({ failedHandshakes: 4, admitted: 0, refused: 0 });
  });

  it("is for nobody without a certificate", async () => {
    using _window = server.openPairing(PAIRING);
    expect(await meet({ ALPNProtocols: [PAIRING] })).toMatchObject({ said: "" });
    expect(strangers).toEqual([]);
  });

  it("does not keep devices out, which come as ever", async () => {
    using _window = server.openPairing(PAIRING);
    expect((await meet(asDevice)).said).not.toBe("");
    expect(devices).toHaveLength(1);
  });

  it("lets the one whose certificate ran out be judged at its second try, when such are expected", async () => {
    using _window = server.openPairing(PAIRING);
    const late = { ...shown(stranger), ALPNProtocols: ["h2"] };
    for (const _try of [1, 2]) expect((await meet(late)).said).toBe("");
    expect(devices).toEqual([]);
    isReadmitting = true;
    expect((await meet(late)).said).not.toBe("");
    expect(devices).toHaveLength(1);
    // Others pair meanwhile, from the same address.
    await pair();
    clock.advance(LIMITS.failureMs);
    expect((await meet(late)).said).toBe("");
    expect(devices).toHaveLength(1);
  });

  it("gives no session that could be resumed, in it or after it", async () => {
    const window = server.openPairing(PAIRING);
    const first = dial(asStranger);
    let session: Buffer | undefined;
    first.on("session", (ticket) => (session = ticket));
    await once(first, "secureConnect");
    session ??= first.getSession();
    expect(session).toBeDefined();
    const again = dial({ ...asStranger, session });
    await once(again, "secureConnect");
    expect(again.isSessionReused()).toBe(false);
    window[Symbol.dispose]();
    expect((await meet({ ...shown(stranger), ALPNProtocols: ["h2"], session })).said).toBe("");
    expect(devices).toEqual([]);
  });

  it("shows the certificate that was put in while it is open", async () => {
    using _window = server.openPairing(PAIRING);
    const { near } = await pair();
    const other = endpoints.fixtures.leaf("server2", "serverAuth");
    server.replaceTls({ identity: other, caPem: endpoints.fixtures.caPem });
    const later = dial({ ...asStranger, servername: "server2.gatehouse.internal" });
    await once(later, "secureConnect");
    const serial = (socket: TLSSocket) => socket.getPeerX509Certificate()?.serialNumber;
    expect(serial(later)).not.toBe(serial(near));
  });

  it("leaves no more room for strangers than there is for connections", async () => {
    await close();
    await open({ connections: 2 });
    using _window = server.openPairing(PAIRING);
    await pair();
    await pair();
    expect(server.connectionCount).toBe(2);
    expect((await meet(asDevice)).said).toBe("");
    expect(server.counters.overLimit).toBe(1);
  });
});

describe("a stranger's connection over TCP", () => {
  let window: Disposable;
  beforeEach(() => {
    window = server.openPairing(PAIRING);
  });
  afterEach(() => window[Symbol.dispose]());

  it("carries bytes both ways in order, and each side's end", async () => {
    const { near, far } = await pair();
    const heard: string[] = [];
    far.onStream((stream) =>
      stream.attach({
        data: (bytes, fin) => {
          heard.push(`${Buffer.from(bytes).toString()}${fin ? "." : ""}`);
          if (fin) return;
          stream.write(Buffer.from("pong"), true);
        },
        drain: () => undefined,
        closed: () => heard.push("closed"),
      }),
    );
    near.write("ping");
    const [answer]: unknown[] = await once(near, "data");
    expect(String(answer)).toBe("pong");
    await far.closed;
    expect(heard).toEqual(["ping", "."]);
    expect(server.connectionCount).toBe(0);
  });

  it("leaves what is not read at its sender", async () => {
    const { near, far } = await pair();
    let takenBytes = 0;
    const arrived = new Promise<SocketStream>((resolve) =>
      far.onStream((stream) => {
        stream.attach({
          data: (bytes) => {
            takenBytes += bytes.length;
            if (takenBytes === bytes.length) stream.pause();
          },
          drain: () => undefined,
          closed: () => undefined,
        });
        resolve(stream);
      }),
    );
    const flood = Buffer.alloc(67_108_864);
    let isSent = false;
    near.write(flood, () => (isSent = true));
    const stream = await arrived;
    const firstBytes = takenBytes;
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect({ takenBytes, isSent }).toEqual({ takenBytes: firstBytes, isSent: false });
    stream.resume();
    await until(() => takenBytes === flood.length);
    near.destroy();
    await far.closed;
  });

  it("ends a peer that goes on talking when all is said", async () => {
    const { near, far } = await pair();
    far.onStream((stream) => {
      stream.attach({ data: () => undefined, drain: () => undefined, closed: () => undefined });
      stream.write(Buffer.from("no"), true);
    });
    near.allowHalfOpen = true;
    near.write("hello");
    near.on("data", () => undefined);
    await until(() => near.readableEnded);
    let isGone = false;
    void far.closed.then(() => (isGone = true));
    near.write(Buffer.alloc(LIMITS.pairingMessageBytes / 2));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isGone).toBe(false);
    near.write(Buffer.alloc(LIMITS.pairingMessageBytes));
    await far.closed;
  });

  it("loses what it was told last to nobody who reads, and waits for nobody who does not", async () => {
    const { near, far } = await pair();
    const ends: string[] = [];
    const stream = await new Promise<SocketStream>((resolve) => {
      far.onStream((arrived) => {
        arrived.attach({
          data: () => undefined,
          drain: () => undefined,
          closed: () => ends.push("closed"),
        });
        resolve(arrived);
      });
      near.write("hello");
    });
    near.pause();
    stream.write(Buffer.from("farewell"), false);
    far.close();
    far.close();
    // Its reader hears at once.
    expect(ends).toEqual(["closed"]);
    near.write("anybody there?");
    const [words]: unknown[] = await once(near.resume(), "data");
    expect(String(words)).toBe("farewell");

    const deaf = await pair();
    deaf.near.pause();
    deaf.near.allowHalfOpen = true;
    deaf.far.close();
    let isGone = false;
    void deaf.far.closed.then(() => (isGone = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isGone).toBe(false);
    clock.advance(LIMITS.grpcLingerMs);
    await deaf.far.closed;
  });

  it("that is gone before anybody reads it is told as lost", async () => {
    const { near, far } = await pair();
    near.destroy();
    await far.closed;
    expect(server.connectionCount).toBe(0);
    const own = dial(asStranger);
    await once(own, "secureConnect");
    own.destroy();
    await once(own, "close");
    const lost = new Promise((resolve) =>
      new SocketStream(own).attach({ data: () => undefined, drain: () => undefined, closed: resolve }),
    );
    expect(await lost).toBeUndefined();
  });
});

describe("what names a TLS connection", () => {
  it("is refused of TLS 1.2, and of a connection that has not shaken hands", async () => {
    const code = expect.objectContaining({ code: "quic.wrong-server" });
    const early = dial(asDevice);
    expect(() => tlsExporter(early)).toThrow(code);
    early.destroy();
    const [left, right] = await rawPair();
    const old = createSecureContext({ ...shown(endpoints.server), maxVersion: "TLSv1.2" });
    const far = new TLSSocket(right, { isServer: true, secureContext: old });
    const near = connect({ socket: left, rejectUnauthorized: false, minVersion: "TLSv1.2" });
    await once(near, "secureConnect");
    expect(near.getProtocol()).toBe("TLSv1.2");
    expect(() => tlsExporter(near)).toThrow(code);
    near.destroy();
    far.destroy();
  });
});

async function rawPair(): Promise<readonly [Socket, Socket]> {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const bound = listener.address();
  if (bound === null || typeof bound === "string") throw new Error("no port");
  const left = createConnection(bound.port, "127.0.0.1");
  const [right]: Socket[] = await once(listener, "connection");
  listener.close();
  if (right === undefined) throw new Error("no connection");
  return [left, right];
}

/** A TCP relay that passes a client's first flight on and holds what comes after it. */
class Holding implements Disposable {
  readonly #server: Server;
  readonly #sockets: Socket[] = [];
  #held: Buffer[] = [];
  #far: Socket | undefined;
  #isReleased = false;

  private constructor(target: number) {
    this.#server = createServer((near) => {
      const far = createConnection(target, "127.0.0.1");
      this.#far = far;
      this.#sockets.push(near, far);
      for (const socket of [near, far]) socket.on("error", () => undefined);
      far.pipe(near);
      let count = 0;
      near.on("data", (chunk: Buffer) => {
        count += 1;
        if (count === 1 || this.#isReleased) far.write(chunk);
        else this.#held.push(chunk);
      });
    });
  }

  static async open(target: number): Promise<Holding> {
    const relay = new Holding(target);
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get port(): number {
    const bound = this.#server.address();
    return bound === null || typeof bound === "string" ? 0 : bound.port;
  }

  async holds(): Promise<void> {
    await until(() => this.#held.length > 0);
  }

  release(): void {
    this.#isReleased = true;
    for (const chunk of this.#held.splice(0)) this.#far?.write(chunk);
  }

  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}
