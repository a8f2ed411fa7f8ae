import {
  type ClientHttp2Stream,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { GatehouseError, isGatehouseError } from "../core/index.ts";
import {
  type CallStream,
  encodeClose,
  FrameDecoder,
  type Open,
  RESET,
  type StreamSink,
} from "../rpc/index.ts";
import { MessageReader, prefixed } from "./message-reader.ts";
import { REQUEST_ID_KEY } from "./request-head.ts";
import { closeIn, isGrpcAnswer } from "./response.ts";

/** What a call asks of its connection. */
export interface ClientCallHost {
  /** Begins the HTTP/2 stream. @throws when the connection takes no more calls */
  request(headers: OutgoingHttpHeaders): ClientHttp2Stream;
  /** Something was sent, or has come. */
  sent(): void;
  heard(): void;
  /** Why the connection has ended, or ends; undefined while it does not. */
  readonly ending: GatehouseError | undefined;
  over(call: GrpcClientCall): void;
}

const RESET_CODES: ReadonlyMap<number, number> = new Map([
  [RESET.internal, constants.NGHTTP2_INTERNAL_ERROR],
  [RESET.limit, constants.NGHTTP2_ENHANCE_YOUR_CALM],
  [RESET.protocol, constants.NGHTTP2_PROTOCOL_ERROR],
]);

/** One call to a gRPC server as the caller's stream of frames. */
export class GrpcClientCall implements CallStream {
  readonly #host: ClientCallHost;
  readonly #written = new FrameDecoder();
  readonly #reader = new MessageReader();
  #stream: ClientHttp2Stream | undefined;
  #sink: StreamSink | undefined;
  #head: IncomingHttpHeaders | undefined;
  #trailers: IncomingHttpHeaders | undefined;
  #isPaused = false;
  /** The caller has heard the end, or wants to hear nothing more. */
  #isOver = false;

  constructor(host: ClientCallHost) {
    this.#host = host;
  }

  attach(sink: StreamSink): void {
    this.#sink = sink;
  }

  write(bytes: Uint8Array, fin: boolean): boolean {
    if (this.#isOver) return false;
    try {
      return this.#write(bytes, fin);
    } catch (failure) {
      // Not within the caller's own turn.
      queueMicrotask(() => this.#end(this.#host.ending ?? refused(failure)));
      return false;
    } finally {
      // It is ours, and may have been a secret.
      bytes.fill(0);
    }
  }

  pause(): void {
    this.#isPaused = true;
    this.#stream?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#stream?.resume();
  }

  reset(code: number): void {
    this.#isOver = true;
    const stream = this.#stream;
    // One that the server has given no room yet never says that it has closed.
    this.#host.over(this);
    if (stream !== undefined && !stream.closed)
      stream.close(RESET_CODES.get(code) ?? constants.NGHTTP2_CANCEL);
  }

  /** Its connection has ended. */
  lose(reason: GatehouseError): void {
    this.#end(reason);
  }

  #write(bytes: Uint8Array, fin: boolean): boolean {
    const messages: Uint8Array[] = [];
    this.#written.push(bytes);
    for (let frame = this.#written.next(); frame !== undefined; frame = this.#written.next()) {
      if (frame.kind === "open") this.#begin(frame.open);
      else if (frame.kind === "message") messages.push(prefixed(frame.bytes));
    }
    this.#written.keep();
    const stream = this.#stream;
    if (stream === undefined) return true;
    for (const message of messages) stream.write(message, () => message.fill(0));
    if (fin) stream.end();
    this.#host.sent();
    return !stream.writableNeedDrain;
  }

  #begin(open: Open): void {
    const stream = this.#host.request(headersOf(open));
    this.#stream = stream;
    stream.on("response", (headers) => {
      this.#head = headers;
    });
    stream.on("trailers", (trailers) => {
      this.#trailers = trailers;
    });
    stream.on("data", (chunk: Buffer) => this.#read(chunk));
    stream.on("end", () => this.#finish());
    stream.on("drain", () => this.#sink?.drain());
    // It has its `close`, and says nothing else that anybody needs.
    stream.on("error", () => undefined);
    stream.once("close", () => this.#closed(stream));
    if (this.#isPaused) stream.pause();
  }

  #read(chunk: Buffer): void {
    this.#host.heard();
    if (this.#isOver) return;
    try {
      for (const frame of this.#reader.read(chunk)) {
        this.#sink?.data(frame, false);
        frame.fill(0);
      }
    } catch (failure) {
      this.#abandon(failure);
    }
  }

  /** All has come. What ended the call is in the trailers, or beside the head when there was nothing else. */
  #finish(): void {
    this.#host.heard();
    if (this.#isOver) return;
    const trailers = this.#trailers ?? this.#head;
    if (this.#head === undefined || trailers?.["grpc-status"] === undefined) return;
    if (!isGrpcAnswer(this.#head) || !this.#reader.isBetweenMessages) {
      this.#abandon(
        new GatehouseError("rpc.bad-frame", "what answers there does not speak gRPC as it should"),
      );
      return;
    }
    this.#isOver = true;
    this.#sink?.data(encodeClose(closeIn(trailers)), true);
  }

  #abandon(failure: unknown): void {
    this.#stream?.close(constants.NGHTTP2_CANCEL);
    this.#end(
      isGatehouseError(failure)
        ? failure
        : new GatehouseError("rpc.internal", "the call could not be carried on", { cause: failure }),
    );
  }

  #closed({ rstCode }: ClientHttp2Stream): void {
    this.#host.over(this);
    // With the connection's end in sight its reason comes within this turn, and says more.
    setImmediate(() => this.#end(this.#host.ending ?? dropped(rstCode)));
  }

  #end(error: GatehouseError): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#sink?.closed(error);
  }
}

function headersOf({ method, timeoutMs, requestId, traceparent }: Open): OutgoingHttpHeaders {
  return {
    ":method": "POST",
    ":path": method,
    ...{ "content-type": "application/grpc+proto", te: "trailers", "grpc-timeout": `${timeoutMs}m` },
    ...(requestId === undefined ? {} : { [REQUEST_ID_KEY]: Buffer.from(requestId).toString("base64") }),
    ...(traceparent === "" ? {} : { traceparent }),
  };
}

/** A stream that the server has not begun with is asked for again; of any other nobody knows how far it came. */
function dropped(rstCode: number | undefined): GatehouseError {
  if (rstCode === constants.NGHTTP2_REFUSED_STREAM)
    return new GatehouseError("rpc.draining", "the gatehouse takes no more calls on this connection");
  if (rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM)
    return new GatehouseError("quic.limit", "the gatehouse has no room for this call");
  return new GatehouseError("quic.closed", "the gatehouse dropped the call");
}

function refused(cause: unknown): GatehouseError {
  return new GatehouseError("rpc.draining", "the connection takes no more calls", { cause });
}
