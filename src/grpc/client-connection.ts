import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type OutgoingHttpHeaders,
} from "node:http2";
import type { TLSSocket } from "node:tls";
import { type Clock, type ErrorCode, GatehouseError, LIMITS } from "../core/index.ts";
import type { CallStream } from "../rpc/index.ts";
import { GrpcClientCall } from "./client-call.ts";
import { readFarewell } from "./farewell.ts";

/** While answers are waited for, pings come so soon after a call, then after twice as long each time. */
const FIRST_PING_MS = 1_000;

export interface ClientConnectionOptions {
  /** After TLS, the server checked. Taken. */
  readonly socket: TLSSocket;
  /** What the `:authority` of each call says. */
  readonly serverName: string;
  /** What the server's last words mean; the default takes them as they are. */
  readonly closing?: ((code: ErrorCode, sentence: string) => GatehouseError) | undefined;
  /** The server stops, or wants this connection to end: calls under way go on. */
  readonly onGoingAway: () => void;
  readonly clock: Clock;
}

/** One connection to a gRPC server, and the calls on it. */
export class GrpcClientConnection {
  /** There is no early data on this wire. */
  readonly isEarly = false;
  readonly opened = Promise.resolve({ isResumed: false });
  /** Settles once, when the connection can carry nothing more, with the reason. */
  readonly closed: Promise<GatehouseError>;
  readonly localAddress: string;
  readonly #options: ClientConnectionOptions;
  readonly #session: ClientHttp2Session;
  readonly #calls = new Set<GrpcClientCall>();
  #settle: (reason: GatehouseError) => void = () => undefined;
  #timer: Disposable | undefined;
  #pingMs: number = FIRST_PING_MS;
  #rttMs: number | undefined;
  #isLeft = false;
  #sent = 0;
  #received = 0;
  #reason: GatehouseError | undefined;
  #ending: GatehouseError | undefined;

  constructor(options: ClientConnectionOptions) {
    const { socket, serverName } = options;
    this.#options = options;
    this.localAddress = socket.localAddress ?? "";
    this.closed = new Promise((resolve) => {
      this.#settle = resolve;
    });
    this.#session = connect(`https://${serverName}`, {
      createConnection: () => socket,
      maxSessionMemory: LIMITS.grpcSessionMemoryMiB,
      maxHeaderListPairs: LIMITS.grpcHeaderPairs,
      settings: {
        enablePush: false,
        initialWindowSize: LIMITS.streamWindowBytes,
        maxHeaderListSize: LIMITS.grpcHeaderBytes,
      },
    });
    this.#session.on("goaway", (_code, _lastStreamId, debugData?: Buffer) => this.#goAway(debugData));
    this.#session.on("error", (cause) => {
      this.#reason ??= new GatehouseError("quic.closed", "the connection broke", { cause });
    });
    this.#session.once("close", () => this.#ended());
    this.#arm();
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  get ending(): GatehouseError | undefined {
    return this.#ending ?? this.#reason;
  }

  /** Of the newest ping, milliseconds. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  get streamCount(): number {
    return this.#calls.size;
  }

  /** Messages and pings that left, and whatever came back. */
  get traffic(): { readonly sent: number; readonly received: number } {
    return { sent: this.#sent, received: this.#received };
  }

  openStream(): CallStream {
    const call = new GrpcClientCall(this);
    this.#calls.add(call);
    return call;
  }

  /** Ends every call now. A session that has said its goodbye would wait for a peer that reads nothing, for ever. */
  close(reason: GatehouseError): void {
    this.#reason ??= reason;
    this.#session.destroy();
    setImmediate(() => {
      this.#options.socket.destroy();
      this.#ended();
      for (const call of this.#calls) call.lose(this.#ending ?? reason);
      this.#calls.clear();
    });
  }

  request(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    return this.#session.request(headers, { endStream: false });
  }

  sent(): void {
    this.#sent += 1;
    this.#pingMs = FIRST_PING_MS;
    this.#arm();
  }

  heard(): void {
    this.#received += 1;
  }

  over(call: GrpcClientCall): void {
    this.#calls.delete(call);
  }

  #goAway(debugData: Buffer | undefined): void {
    const said = debugData && readFarewell(debugData);
    const { closing = plain, onGoingAway } = this.#options;
    if (said !== undefined) this.#reason ??= closing(said.code, said.sentence);
    if (this.#isLeft) return;
    this.#isLeft = true;
    onGoingAway();
  }

  #arm(): void {
    this.#timer?.[Symbol.dispose]();
    const delayMs = this.#calls.size === 0 ? LIMITS.grpcPingMs : Math.min(this.#pingMs, LIMITS.keepAliveMs);
    this.#timer = this.#options.clock.setTimer(delayMs, () => this.#ping());
  }

  #ping(): void {
    // What is to end when its calls have is asked nothing more: they have their deadlines.
    if (!this.isOpen) return;
    this.#timer = this.#options.clock.setTimer(LIMITS.grpcPingTimeoutMs, () => this.close(silent()));
    this.#sent += 1;
    this.#pingMs *= 2;
    const isSent = this.#session.ping((failure, durationMs) => {
      if (failure !== null) return;
      this.#received += 1;
      this.#rttMs = durationMs;
      this.#arm();
    });
    if (!isSent) this.close(silent());
  }

  #ended(): void {
    if (this.#ending !== undefined) return;
    this.#timer?.[Symbol.dispose]();
    this.#ending = this.#reason ?? new GatehouseError("quic.closed", "the gatehouse closed the connection");
    this.#settle(this.#ending);
  }
}

function plain(code: ErrorCode, sentence: string): GatehouseError {
  return new GatehouseError(code, sentence);
}

function silent(): GatehouseError {
  return new GatehouseError("quic.timed-out", "the gatehouse answers nothing any more", {
    hint: "check that the other side runs and that TCP gets through",
  });
}
