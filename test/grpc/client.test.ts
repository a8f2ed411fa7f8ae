/** The client beside servers that are not what they should be. */
import { once } from "node:events";
import {
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { GatehouseError, LIMITS, systemClock, systemRandom } from "../../src/core/index.ts";
import { connectGrpc, type GrpcClient, type GrpcConnectOptions } from "../../src/grpc/index.ts";
import { Caller } from "../../src/rpc/index.ts";
import { Endpoints } from "../quic/endpoints.ts";
import { OPEN, PING } from "../rpc/support.ts";
import { ManualClock } from "../support/manual-clock.ts";

const endpoints = new Endpoints();
const open: Server[] = [];
const sockets = new Set<TLSSocket>();

afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await Promise.all(open.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
});
afterAll(() => endpoints[Symbol.dispose]());

const tls = () => ({
  ...{ key: endpoints.server.keyPem, cert: endpoints.server.certificatePem, ca: endpoints.fixtures.caPem },
  ...{ requestCert: true, ALPNProtocols: ["h2"] },
});

async function listening<Listening extends Server>(server: Listening): Promise<number> {
  open.push(server);
  server.on("secureConnection", (socket: TLSSocket) => {
    socket.on("error", () => undefined);
    sockets.add(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A server that says `bytes` first, and nothing after. */
const saying = (bytes: Uint8Array, end: "stays" | "ends" = "stays"): Promise<number> =>
  listening(
    createServer(tls(), (socket) => {
      if (end === "ends") socket.end(bytes);
      else socket.write(bytes);
    }),
  );

const dial = (port: number, options: Partial<GrpcConnectOptions> = {}): Promise<GrpcClient> =>
  connectGrpc({
    ...{ address: { host: "127.0.0.1", port }, serverName: "server.gatehouse.internal", clock: systemClock },
    ...{ identity: endpoints.device, verification: { kind: "strict", caPem: endpoints.fixtures.caPem } },
    ...options,
  });

const outcome = (dialled: Promise<AsyncDisposable>): Promise<string> =>
  dialled.then(
    async (client) => {
      await client[Symbol.asyncDispose]();
      return "connected";
    },
    (failure: unknown) => (failure instanceof GatehouseError ? failure.code : String(failure)),
  );

/** RFC 9113 §4.1. */
function frame(type: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  return Buffer.concat([head, payload]);
}

const goAway = (words: string): Buffer =>
  frame(7, Buffer.concat([Buffer.from("000000000000000c", "hex"), Buffer.from(words)]));

describe("a connection", () => {
  it("that is refused ends with the gatehouse's own code and words, however they are cut", async () => {
    const words = goAway("device.revoked this device was revoked");
    for (const cut of [1, 8, 9, 12, 20, words.length]) {
      const port = await listening(
        createServer(tls(), (socket) => {
          socket.write(words.subarray(0, cut));
          setImmediate(() => socket.end(words.subarray(cut)));
        }),
      );
      await expect(dial(port)).rejects.toMatchObject({
        code: "device.revoked",
        message: "this device was revoked",
      });
    }
  });

  it.each([
    ["a refusal without a code of ours", goAway("no.such-code go away"), "quic.not-admitted"],
    ["a refusal longer than ours are", goAway("x".repeat(300)), "quic.wrong-server"],
    ["a refusal that is too short", frame(7, Buffer.alloc(4)), "quic.wrong-server"],
    ["a frame that is neither", frame(0, Buffer.from("x")), "quic.wrong-server"],
    ["HTTP/1", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), "quic.wrong-server"],
  ])("that begins with %s is told from one that stands", async (_what, bytes, code) => {
    expect(await outcome(dial(await saying(bytes)))).toBe(code);
  });

  it("that is ended without a word, whole or in the middle of one, is lost, and no verdict", async () => {
    expect(await outcome(dial(await saying(new Uint8Array(), "ends")))).toBe("quic.closed");
    expect(await outcome(dial(await saying(goAway("device.revoked x").subarray(0, 15), "ends")))).toBe(
      "quic.closed",
    );
  });

  it.each([
    ["access denied", 49],
    ["certificate expired", 45],
    ["unknown authority", 48],
    ["no application protocol", 120],
  ])("that somebody without a key ends with TLS's %s is lost, and no verdict", async (_what, alert) => {
    const forger = createTcpServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.write(Buffer.from([0x15, 3, 3, 0, 2, 2, alert])));
    });
    forger.listen(0, "127.0.0.1");
    await once(forger, "listening");
    expect(await outcome(dial((forger.address() as AddressInfo).port))).toBe("quic.closed");
    forger.close();
  });

  it("to a server that says nothing ends when its time is up, or when it is given up", async () => {
    const port = await saying(new Uint8Array());
    expect(await outcome(dial(port, { timeoutMs: 100 }))).toBe("quic.timed-out");
    const controller = new AbortController();
    const dialled = outcome(dial(port, { signal: controller.signal }));
    setTimeout(() => controller.abort(), 50);
    expect(await dialled).toBe("rpc.cancelled");
    expect(await outcome(dial(port, { signal: AbortSignal.abort() }))).toBe("rpc.cancelled");
  });

  it("to nobody, to no address, and to what is no TLS 1.3 says so", async () => {
    const port = await saying(new Uint8Array());
    await new Promise((resolve) => open.splice(0)[0]?.close(resolve));
    expect(await outcome(dial(port))).toBe("quic.unreachable");
    expect(await outcome(dial(1, { address: { host: "no.such.name.invalid", port: 1 } }))).toBe(
      "quic.bad-address",
    );
    const old = await listening(createServer({ ...tls(), maxVersion: "TLSv1.2" }, () => undefined));
    expect(await outcome(dial(old))).toBe("quic.wrong-server");
  });

  it("to another name, another authority, or with a check that fails is none", async () => {
    const port = await saying(frame(4, new Uint8Array()));
    expect(await outcome(dial(port, { serverName: "other.gatehouse.internal" }))).toBe("quic.wrong-server");
    using others = new Endpoints();
    const caPem = others.fixtures.caPem;
    expect(await outcome(dial(port, { verification: { kind: "strict", caPem } }))).toBe("quic.wrong-server");
    const checkPeer = (): void => {
      throw new GatehouseError("quic.wrong-server", "not this one");
    };
    await expect(dial(port, { checkPeer })).rejects.toThrow("not this one");
    expect(await outcome(dial(port, { verification: { kind: "danger-any-key" } }))).toBe("connected");
  });
});

/** A gRPC server of Node's own parts, whose answers a test gives. */
async function answering(
  answer: (stream: ServerHttp2Stream) => void,
): Promise<{ readonly port: number; readonly sessions: ServerHttp2Session[] }> {
  const server: Http2SecureServer = createSecureServer(tls());
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => sessions.push(session));
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    answer(stream);
  });
  return { port: await listening(server as unknown as Server), sessions };
}

const HEAD = { ":status": 200, "content-type": "application/grpc" } as const;
const pong = Buffer.from([0, 0, 0, 0, 0]);

async function ping(port: number): Promise<string> {
  await using client = await dial(port);
  using caller = new Caller({ clock: systemClock, random: systemRandom });
  return await caller
    .unary(() => client.connection.openStream(), PING, {})
    .then(
      () => "answered",
      (failure: { readonly code?: string }) => failure.code ?? "unknown",
    );
}

function trailed(
  stream: ServerHttp2Stream,
  body: Uint8Array,
  trailers: Record<string, string>,
  head = HEAD,
): void {
  stream.respond(head, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(trailers));
  stream.end(body);
}

function untrailed(stream: ServerHttp2Stream): void {
  stream.respond(HEAD);
  stream.end(pong);
}

function brokenOff(stream: ServerHttp2Stream): void {
  stream.respond(HEAD);
  stream.close(2);
}

describe("an answer", () => {
  it.each<[string, (stream: ServerHttp2Stream) => void, string]>([
    ["that is whole", (stream) => trailed(stream, pong, { "grpc-status": "0" }), "answered"],
    ["without trailers", untrailed, "quic.closed"],
    [
      "with a status that is no number",
      (stream) => trailed(stream, pong, { "grpc-status": "fine" }),
      "rpc.unknown-error",
    ],
    [
      "with a status that there is not",
      (stream) => trailed(stream, pong, { "grpc-status": "99" }),
      "rpc.unknown-error",
    ],
    [
      "with no message and success",
      (stream) => trailed(stream, Buffer.alloc(0), { "grpc-status": "0" }),
      "rpc.bad-frame",
    ],
    [
      "with two messages",
      (stream) => trailed(stream, Buffer.concat([pong, pong]), { "grpc-status": "0" }),
      "rpc.bad-frame",
    ],
    [
      "cut in a message",
      (stream) => trailed(stream, Buffer.from([0, 0, 0, 0, 9, 1]), { "grpc-status": "0" }),
      "rpc.bad-frame",
    ],
    [
      "with a compressed message",
      (stream) => trailed(stream, Buffer.from([1, 0, 0, 0, 0]), { "grpc-status": "0" }),
      "rpc.bad-frame",
    ],
    [
      "with a message that is too large",
      (stream) => trailed(stream, Buffer.from([0, 255, 255, 255, 255]), { "grpc-status": "0" }),
      "rpc.too-large",
    ],
    [
      "that is no gRPC",
      (stream) =>
        trailed(
          stream,
          Buffer.alloc(0),
          { "grpc-status": "0" },
          { ":status": 200, "content-type": "text/html" as "application/grpc" },
        ),
      "rpc.bad-frame",
    ],
    [
      "that is a page of HTTP's",
      (stream) => {
        stream.respond({ ":status": 502 });
        stream.end("bad gateway");
      },
      "rpc.bad-frame",
    ],
    ["that is refused before it began", (stream) => stream.close(7), "rpc.draining"],
    ["for which there is no room", (stream) => stream.close(11), "quic.limit"],
    ["that is broken off", brokenOff, "quic.closed"],
    [
      "of trailers alone",
      (stream) =>
        stream.respond(
          {
            ...HEAD,
            "grpc-status": "5",
            "gatehouse-code": "vault.not-found",
            "grpc-message": "no%20such%20secret",
          },
          { endStream: true },
        ),
      "vault.not-found",
    ],
    [
      "with words that are badly encoded",
      (stream) =>
        stream.respond(
          {
            ...HEAD,
            "grpc-status": "5",
            "gatehouse-code": "vault.not-found",
            "grpc-message": "100%",
            "gatehouse-retry-after-ms": "-1",
          },
          { endStream: true },
        ),
      "vault.not-found",
    ],
  ])("%s is taken for what it is", async (_what, answer, code) => {
    const { port } = await answering(answer);
    expect(await ping(port)).toBe(code);
  });
});

describe("a connection that stood", () => {
  it("ends its calls with what the server says at its end", async () => {
    const { port, sessions } = await answering(() => undefined);
    const moves: string[] = [];
    await using client = await dial(port, { onMoveOn: (reason) => moves.push(reason) });
    using caller = new Caller({ clock: systemClock, random: systemRandom });
    const called = outcome(caller.unary(() => client.connection.openStream(), PING, {}) as never);
    const [session] = sessions;
    session?.goaway(0, 0, Buffer.from("device.revoked gone"));
    setTimeout(() => session?.destroy(), 50);
    expect(await called).toBe("device.revoked");
    expect(await client.connection.closed).toMatchObject({ code: "device.revoked", message: "gone" });
    expect(moves).toEqual(["going-away"]);
    expect(client.connection.isOpen).toBe(false);
  });

  it("lets its calls end when the server goes away, however long that takes", async () => {
    const clock = new ManualClock();
    let answer: (() => void) | undefined;
    const { port, sessions } = await answering((stream) => {
      answer = () => trailed(stream, pong, { "grpc-status": "0" });
    });
    const moves: string[] = [];
    await using client = await dial(port, { clock, onMoveOn: (reason) => moves.push(reason) });
    using caller = new Caller({ clock: systemClock, random: systemRandom });
    const called = caller.unary(() => client.connection.openStream(), PING, {});
    while (answer === undefined) await new Promise((resolve) => setImmediate(resolve));
    sessions[0]?.close();
    while (moves.length === 0) await new Promise((resolve) => setImmediate(resolve));
    for (let second = 0; second < 60; second += 1) clock.advance(1_000);
    answer();
    await expect(called).resolves.toBeDefined();
  });

  it("is closed at once, though a server that said goodbye reads nothing any more", async () => {
    const { port, sessions } = await answering(() => undefined);
    const client = await dial(port);
    using caller = new Caller({ clock: systemClock, random: systemRandom });
    const called = outcome(caller.unary(() => client.connection.openStream(), PING, {}) as never);
    while (client.connection.traffic.sent === 0) await new Promise((resolve) => setImmediate(resolve));
    sessions[0]?.close();
    while (client.connection.isOpen) await new Promise((resolve) => setImmediate(resolve));
    for (const socket of sockets) socket.pause();
    await client[Symbol.asyncDispose]();
    expect(await called).toBe("quic.closed");
    expect(client.connection.streamCount).toBe(0);
  });

  it("forgets a call that is given up before the server had room for it", async () => {
    const server: Http2SecureServer = createSecureServer({ ...tls(), settings: { maxConcurrentStreams: 0 } });
    const port = await listening(server as unknown as Server);
    await using client = await dial(port);
    using caller = new Caller({ clock: systemClock, random: systemRandom });
    const given = caller.unary(() => client.connection.openStream(), PING, {}, { timeoutMs: 50 });
    expect(await outcome(given as never)).toBe("rpc.deadline");
    expect(client.connection.streamCount).toBe(0);
  });

  it("is given up when the server answers no ping, and its calls with it", async () => {
    const clock = new ManualClock();
    const { port, sessions } = await answering(() => undefined);
    await using client = await dial(port, { clock });
    using caller = new Caller({ clock: systemClock, random: systemRandom });
    const called = outcome(caller.unary(() => client.connection.openStream(), PING, {}) as never);
    while (client.connection.traffic.sent === 0) await new Promise((resolve) => setImmediate(resolve));
    for (const socket of sockets) socket.pause();
    expect(sessions).toHaveLength(1);
    clock.advance(1_000);
    clock.advance(LIMITS.grpcPingTimeoutMs);
    expect(await called).toBe("quic.timed-out");
    expect(await client.connection.closed).toMatchObject({ code: "quic.timed-out" });
  });

  it("takes no calls once it has ended, and says why", async () => {
    const { port } = await answering((stream) => trailed(stream, pong, { "grpc-status": "0" }));
    const client = await dial(port);
    await client[Symbol.asyncDispose]();
    using caller = new Caller({ clock: systemClock, random: systemRandom });
    expect(await outcome(caller.unary(() => client.connection.openStream(), PING, {}) as never)).toBe(
      "quic.closed",
    );
  });

  it("holds a server that sends faster than its caller reads", async () => {
    let written = 0;
    const { port } = await answering((stream) => {
      stream.respond(HEAD);
      const message = Buffer.concat([Buffer.from([0, 0, 0, 0x40, 0]), Buffer.alloc(16_384)]);
      const more = (): void => {
        while (!stream.destroyed && written < 20_000_000) {
          written += message.length;
          if (!stream.write(message)) return void stream.once("drain", more);
        }
      };
      more();
    });
    await using client = await dial(port);
    using caller = new Caller({ clock: systemClock, random: systemRandom });
    const answers = caller.serverStream(() => client.connection.openStream(), OPEN, {});
    await answers.next().catch(() => undefined);
    let before = -1;
    while (before !== written) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(written).toBeLessThan(4 * LIMITS.streamWindowBytes);
  });
});
