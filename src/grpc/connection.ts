import {
  constants,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { TLSSocket } from "node:tls";
import { type Clock, type GatehouseError, LIMITS, type Logger } from "../core/index.ts";
import { type CallStream, closeOf } from "../rpc/index.ts";
import { Backlog } from "./backlog.ts";
import { GrpcCall, RESPONSE_HEAD } from "./call.ts";
import { farewell } from "./farewell.ts";
import { Heartbeat } from "./heartbeat.ts";
import { readHead } from "./request-head.ts";
import { trailersOf } from "./trailers.ts";

/** An IP address and a TCP port. */
export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

export interface ConnectionOptions<Cause> {
  /** After TLS, its peer admitted; nothing was read from it yet. Taken. */
  readonly socket: TLSSocket;
  readonly remote: TcpAddress;
  /** What those are told whose connection is closed for `cause`. */
  readonly closing: (cause: Cause, reason: string) => GatehouseError;
  readonly onHandling?: ((connection: GrpcConnection<Cause> | undefined) => void) | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const SESSION_OPTIONS = {
  maxSessionMemory: LIMITS.grpcSessionMemoryMiB,
  maxHeaderListPairs: LIMITS.grpcHeaderPairs,
  settings: {
    maxConcurrentStreams: LIMITS.callsPerConnection,
    initialWindowSize: LIMITS.streamWindowBytes,
    maxHeaderListSize: LIMITS.grpcHeaderBytes,
    enablePush: false,
  },
} as const;

/** One device's HTTP/2 connection, and the calls on it. */
export class GrpcConnection<Cause> {
  readonly remote: TcpAddress;
  /** There is no early data on this wire. */
  readonly isEstablished = true;
  /** Settles once, when the connection can carry nothing more. */
  readonly closed: Promise<void>;
  readonly #options: ConnectionOptions<Cause>;
  readonly #session: ServerHttp2Session;
  readonly #calls = new Set<GrpcCall>();
  readonly #backlog = new Backlog();
  readonly #heartbeat: Heartbeat;
  #take: ((stream: CallStream) => void) | undefined;
  #isClosing = false;
  #idle: Disposable | undefined;
  #linger: Disposable | undefined;

  constructor(options: ConnectionOptions<Cause>) {
    const { socket, remote, clock } = options;
    this.#options = options;
    this.remote = remote;
    const session = performServerHandshake(socket, SESSION_OPTIONS);
    this.#session = session;
    this.closed = new Promise((resolve) => session.once("close", resolve));
    this.#heartbeat = new Heartbeat(session, { clock, end: () => this.abandon() });
    this.#idle = clock.setTimer(LIMITS.handshakeMs, () => this.#end());
    session.once("remoteSettings", () => this.#rest());
    session.on("stream", (stream, headers) => this.handle(() => this.#begin(stream, headers)));
    // What breaks a session ends it: `close` follows.
    session.on("error", () => undefined);
    session.once("close", () => this.#ended());
  }

  get callCount(): number {
    return this.#calls.size;
  }

  /** Who takes the calls that the peer makes; those of a connection without a taker are refused. */
  onStream(take: (stream: CallStream) => void): void {
    this.#take = take;
  }

  /** TCP sees to that itself. */
  limitFlight(): void {}

  /** Ends every call with what `cause` stands for, tells the client, and is gone `LIMITS.grpcLingerMs` later. */
  close(cause: Cause, reason: string): void {
    const error = this.#options.closing(cause, reason);
    for (const call of this.#calls) call.refuse(error);
    if (this.#session.destroyed) return;
    this.#session.goaway(constants.NGHTTP2_NO_ERROR, 0, farewell(error));
    this.#end();
    this.#linger ??= this.#options.clock.setTimer(LIMITS.grpcLingerMs, () => this.abandon());
  }

  /** Takes no new calls, and goes when those there are have ended. */
  drain(): void {
    this.#end();
  }

  /** Ends it now, without a word. */
  abandon(): void {
    this.#session.destroy();
    // A peer that keeps its side open would keep the session's socket, and with it a place.
    this.#options.socket.destroy();
  }

  /** Tells whose bytes are being handled while `work` does. A bug of ours there costs this connection, not the process. */
  handle(work: () => void): void {
    const { onHandling, logger } = this.#options;
    onHandling?.(this);
    try {
      work();
    } catch (failure) {
      logger.error("grpc-connection-failed", {
        error: failure instanceof Error ? (failure.stack ?? failure.message) : "unknown",
      });
      this.abandon();
    } finally {
      onHandling?.(undefined);
    }
  }

  get backlog(): Backlog {
    return this.#backlog;
  }

  #begin(stream: ServerHttp2Stream, headers: Parameters<typeof readHead>[0]): void {
    // It has its `close`, and says nothing else that anybody needs.
    stream.on("error", () => undefined);
    if (stream.destroyed) return;
    if (this.#isClosing || this.#take === undefined) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    const head = readHead(headers);
    switch (head.kind) {
      case "call":
        this.#carry(new GrpcCall(stream, head.open, this), stream, this.#take);
        return;
      case "refused":
        stream.respond(
          { ...RESPONSE_HEAD, ...acceptance(head.error), ...trailersOf(closeOf(head.error)) },
          LAST,
        );
        break;
      case "not-grpc":
        stream.respond({ ":status": head.httpStatus }, LAST);
    }
    stream.resume();
    setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  }

  #carry(call: GrpcCall, stream: ServerHttp2Stream, take: (stream: CallStream) => void): void {
    this.#calls.add(call);
    this.#idle?.[Symbol.dispose]();
    stream.once("close", () => {
      this.#calls.delete(call);
      if (this.#calls.size === 0) this.#rest();
    });
    take(call);
  }

  #rest(): void {
    if (this.#calls.size > 0 || this.#isClosing) return;
    this.#idle?.[Symbol.dispose]();
    this.#idle = this.#options.clock.setTimer(LIMITS.grpcIdleMs, () => this.#end());
  }

  #end(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#idle?.[Symbol.dispose]();
    this.#session.close();
  }

  #ended(): void {
    this.#isClosing = true;
    this.#heartbeat[Symbol.dispose]();
    this.#idle?.[Symbol.dispose]();
    this.#linger?.[Symbol.dispose]();
    // The session is gone; its socket would wait for a peer that keeps its own side open.
    const { socket, clock } = this.#options;
    if (socket.destroyed) return;
    const timer = clock.setTimer(LIMITS.grpcLingerMs, () => socket.destroy());
    socket.once("close", () => timer[Symbol.dispose]());
  }
}

const LAST = { endStream: true } as const;

/** Which compression we take: none (grpc/doc/compression.md). */
function acceptance({ code }: GatehouseError): Record<string, string> {
  return code === "rpc.unsupported-encoding" ? { "grpc-accept-encoding": "identity" } : {};
}
