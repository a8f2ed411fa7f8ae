/** The server's own manners, with time in the test's hands. */
import { once } from "node:events";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { createConnection } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { GatehouseError, LIMITS, silentLogger } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { type GrpcConnection, GrpcServer } from "../../src/grpc/index.ts";
import { Router } from "../../src/rpc/index.ts";
import { Endpoints } from "../quic/endpoints.ts";
import { OPEN, PING } from "../rpc/support.ts";
import { ManualClock } from "../support/manual-clock.ts";

const endpoints = new Endpoints();
afterAll(() => endpoints[Symbol.dispose]());

let clock: ManualClock;
let server: GrpcServer<string>;
let router: Router<string>;
let connections: GrpcConnection<string>[];

beforeEach(async () => {
  clock = new ManualClock();
  connections = [];
  router = new Router<string>({ clock, log: silentLogger });
  router.handle(PING, ({ payload }) => ({ payload }));
  server = await GrpcServer.listen<string>({
    ...{ listen: [{ host: "127.0.0.1", port: 0 }], clock, logger: silentLogger },
    ...{ identity: endpoints.server, caPem: endpoints.fixtures.caPem },
    admit: () => ({
      kind: "admitted",
      accept: (connection) => {
        connections.push(connection);
        connection.onStream((stream) => router.serve(stream, "someone"));
      },
    }),
    closing: (_cause, reason) => new GatehouseError("rpc.draining", reason),
  });
});
afterEach(async () => {
  const closing = server[Symbol.asyncDispose]();
  clock.advance(LIMITS.grpcLingerMs);
  await closing;
  await router[Symbol.asyncDispose]();
});

const port = (): number => server.addresses[0]?.port ?? 0;

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}

async function session(): Promise<ClientHttp2Session> {
  const opened = connect(`https://127.0.0.1:${port()}`, tls());
  opened.on("error", () => undefined);
  await once(opened, "remoteSettings");
  return opened;
}

function tls() {
  const { keyPem: key, certificatePem: cert } = endpoints.device;
  return { key, cert, ca: endpoints.fixtures.caPem, servername: "server.gatehouse.internal" };
}

interface Answer {
  readonly status: unknown;
  readonly grpcStatus: unknown;
  readonly code: unknown;
}

/** Sends `body` as the whole of a call. */
async function call(
  on: ClientHttp2Session,
  headers: Record<string, string>,
  body: Uint8Array = Uint8Array.of(0, 0, 0, 0, 0),
): Promise<Answer> {
  const stream = on.request({
    ":method": "POST",
    ":path": PING.path,
    "content-type": "application/grpc",
    ...headers,
  });
  let all: Record<string, unknown> = {};
  stream.on("response", (head) => (all = { ...all, ...head }));
  stream.on("trailers", (trailers) => (all = { ...all, ...trailers }));
  stream.on("error", () => undefined);
  stream.resume();
  stream.end(body);
  await new Promise((resolve) => stream.once("close", resolve));
  return { status: all[":status"], grpcStatus: all["grpc-status"], code: all["gatehouse-code"] };
}

describe("the gRPC server", () => {
  it("answers what is no good call each in its own words", async () => {
    const client = await session();
    const good = { status: 200, grpcStatus: "0", code: undefined };
    expect(await call(client, {})).toEqual(good);
    expect(await call(client, { "content-type": "text/html" })).toMatchObject({ status: 415 });
    expect(await call(client, { "grpc-encoding": "gzip" })).toMatchObject({
      code: "rpc.unsupported-encoding",
    });
    expect(await call(client, { "grpc-timeout": "soon" })).toMatchObject({
      code: "rpc.bad-frame",
      grpcStatus: "3",
    });
    for (const body of [[], [0, 0, 0], [0, 0, 0, 0, 9, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]) {
      expect(await call(client, {}, Uint8Array.from(body))).toMatchObject({ code: "rpc.bad-frame" });
    }
    const large = Buffer.from([0, 0x7f, 0xff, 0xff, 0xff]);
    expect(await call(client, {}, large)).toMatchObject({ code: "rpc.too-large", grpcStatus: "8" });
    expect(await call(client, {})).toEqual(good);
    client.destroy();
  });

  it("bounds headers and calls at once", async () => {
    const client = await session();
    expect(client.remoteSettings).toMatchObject({
      maxConcurrentStreams: LIMITS.callsPerConnection,
      maxHeaderListSize: LIMITS.grpcHeaderBytes,
      initialWindowSize: LIMITS.streamWindowBytes,
    });
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`x-${at}`, "y"]));
    expect(await call(client, many)).toMatchObject({ status: undefined });
    client.destroy();
  });

  it("gives up on who does not finish its handshake", async () => {
    const socket = createConnection({ host: "127.0.0.1", port: port() });
    const closed = once(socket, "close");
    await until(() => server.counters.accepted === 1);
    clock.advance(LIMITS.handshakeMs);
    await closed;
    expect(server.counters).toMatchObject({ handshakeTimeouts: 1, failedHandshakes: 0 });
  });

  it("leaves no place to who is put out and keeps its own side open", async () => {
    const socket = connectTls({ host: "127.0.0.1", port: port(), ...tls(), ALPNProtocols: ["h2"] });
    // What is not read does not end.
    socket.pause();
    socket.on("error", () => undefined);
    await until(() => connections.length === 1);
    const [connection] = connections;
    connection?.close("gone", "out");
    clock.advance(LIMITS.grpcLingerMs);
    await connection?.closed;
    expect(server.connectionCount).toBe(0);
    socket.destroy();
  });

  it("lets calls under way end on a connection that has grown old", async () => {
    let answer: (() => void) | undefined;
    router.handle(
      METHODS.Vault.Put,
      () => new Promise((resolve) => (answer = () => resolve({ version: 1 }))),
    );
    const client = await session();
    const tick = async (): Promise<void> => {
      clock.advance(LIMITS.grpcPingMs);
      if (client.closed) await new Promise((resolve) => setTimeout(resolve, 5));
      else await call(client, {});
    };
    for (let ageMs = 0; ageMs < LIMITS.connectionAgeMs; ageMs += LIMITS.grpcPingMs) await tick();
    const called = call(client, { ":path": METHODS.Vault.Put.path });
    await until(() => answer !== undefined);
    for (let count = 0; count < 4; count += 1) await tick();
    expect(client.closed).toBe(true);
    expect(client.destroyed).toBe(false);
    answer?.();
    expect(await called).toMatchObject({ grpcStatus: "0" });
  });

  it("hears nobody for a while from where too many handshakes have failed", async () => {
    for (let count = 1; count <= LIMITS.failuresPerSource; count += 1) {
      createConnection({ host: "127.0.0.1", port: port() })
        .on("error", () => undefined)
        .destroySoon();
      await until(() => server.counters.failedHandshakes === count);
    }
    const refused = connect(`https://127.0.0.1:${port()}`, tls());
    await expect(once(refused, "remoteSettings")).rejects.toThrow(/hang up|ECONNRESET|disconnected|closed/);
    expect(server.counters).toMatchObject({ overLimit: 1, failedHandshakes: LIMITS.failuresPerSource });
    clock.advance(LIMITS.failureMs);
    expect(await call(await session(), {})).toMatchObject({ grpcStatus: "0" });
  });

  it("forgets at once whose handshake has failed, and what it has refused", async () => {
    const stranger = endpoints.fixtures.selfSigned("stranger");
    const greetings = [
      { ...tls(), key: stranger.keyPem, cert: stranger.certificatePem },
      { ca: endpoints.fixtures.caPem, servername: "server.gatehouse.internal" },
      { ...tls(), ALPNProtocols: [] },
    ];
    for (const greeting of greetings) {
      const socket = connectTls({ host: "127.0.0.1", port: port(), ALPNProtocols: ["h2"], ...greeting });
      socket.on("error", () => undefined);
      await new Promise((resolve) => socket.once("close", resolve));
    }
    await until(() => server.counters.failedHandshakes === greetings.length);
    clock.advance(LIMITS.handshakeMs);
    expect(server.counters).toMatchObject({ accepted: greetings.length, admitted: 0, handshakeTimeouts: 0 });
  });

  it("ends calls with their reason and the connection after them when it is closed", async () => {
    router.handle(OPEN, async function* (_request, { signal }) {
      yield { expired: {} };
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    });
    const client = await session();
    let words = "";
    client.on("goaway", (_code, _last, data?: Buffer) => (words ||= data?.toString() ?? ""));
    const answer = call(client, { ":path": OPEN.path });
    await until(() => router.callsInFlight === 1);
    for (const connection of connections) connection.close("any", "enough");
    expect(await answer).toMatchObject({ code: "rpc.draining", grpcStatus: "14" });
    await until(() => words === "rpc.draining enough");
    clock.advance(LIMITS.grpcLingerMs);
    await until(() => server.connectionCount === 0);
    expect(router.callsInFlight).toBe(0);
  });

  it("throws out who makes calls only to reset them", async () => {
    const client = await session();
    let goneWith: number | undefined;
    client.on("goaway", (code) => (goneWith = code));
    let count = 0;
    for (; count < 20_000 && !client.closed && !client.destroyed; count += 1) {
      const stream = client.request({
        ":method": "POST",
        ":path": PING.path,
        "content-type": "application/grpc",
      });
      stream.on("error", () => undefined);
      stream.close(constants.NGHTTP2_CANCEL);
      if (count % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await until(() => goneWith !== undefined);
    expect(count).toBeLessThan(20_000);
    client.destroy();
    await until(() => router.callsInFlight === 0);
    // The session reads no more, and so does not see its peer leave.
    clock.advance(LIMITS.grpcPingMs);
    clock.advance(LIMITS.grpcPingTimeoutMs);
    await until(() => server.connectionCount === 0);
  });

  it("keeps a connection that answers its pings, and ends one that is idle for long", async () => {
    const client = await session();
    let goneWith: number | undefined;
    client.on("goaway", (code) => (goneWith = code));
    let pings = 0;
    client.on("ping", () => (pings += 1));
    for (let count = 1; count < LIMITS.grpcIdleMs / LIMITS.grpcPingMs; count += 1) {
      clock.advance(LIMITS.grpcPingMs);
      await until(() => pings === count);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(client.closed).toBe(false);
    clock.advance(LIMITS.grpcPingMs);
    await until(() => client.closed);
    expect(goneWith).toBe(constants.NGHTTP2_NO_ERROR);
    await until(() => server.connectionCount === 0);
  });

  it("ends a connection that does not answer its ping", async () => {
    const mute = connectTls({ host: "127.0.0.1", port: port(), ALPNProtocols: ["h2"], ...tls() });
    await once(mute, "secureConnect");
    mute.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    mute.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    await once(mute, "data");
    clock.advance(LIMITS.grpcPingMs);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(server.connectionCount).toBe(1);
    clock.advance(LIMITS.grpcPingTimeoutMs);
    await until(() => server.connectionCount === 0);
    mute.destroy();
  });
});
