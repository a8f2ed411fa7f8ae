/** The calls of a `Caller`, made by a stock gRPC client. */
import { once } from "node:events";
import {
  Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { GatehouseError, isErrorCode } from "../../src/core/index.ts";
import type { Codec, MethodDefinition, MethodKind } from "../../src/gen/index.ts";
import { CODE_KEY, HINT_KEY, REQUEST_ID_KEY, RETRY_AFTER_KEY } from "../../src/grpc/index.ts";
import type { CallOptions } from "../../src/rpc/index.ts";

export interface GrpcJsOptions {
  /** HOST:PORT. */
  readonly address: string;
  readonly serverName: string;
  readonly caPem: string;
  /** Left out by who shows no certificate. */
  readonly identity?: { readonly keyPem: string; readonly certificatePem: string };
}

const TIMEOUT_MS = 30_000;

export class GrpcJsCaller implements Disposable {
  readonly #client: Client;

  constructor({ address, serverName, caPem, identity }: GrpcJsOptions) {
    const key = identity === undefined ? null : Buffer.from(identity.keyPem);
    const certificate = identity === undefined ? null : Buffer.from(identity.certificatePem);
    this.#client = new Client(address, credentials.createSsl(Buffer.from(caPem), key, certificate), {
      "grpc.ssl_target_name_override": serverName,
      "grpc.use_local_subchannel_pool": 1,
      "grpc.max_receive_message_length": -1,
    });
  }

  unary<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): Promise<Response> {
    const { path, encode, decode } = codecs(method);
    return new Promise((resolve, reject) => {
      const call = this.#client.makeUnaryRequest(
        ...([path, encode, decode, request, metadataOf(options), limits(options)] as const),
        settle(resolve, reject),
      );
      cancelWith(options.signal, call);
    });
  }

  clientStream<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"client", RequestFields, Request, ResponseFields, Response>,
    requests: AsyncIterable<RequestFields>,
    options: CallOptions = {},
  ): Promise<Response> {
    const { path, encode, decode } = codecs(method);
    return new Promise((resolve, reject) => {
      const call = this.#client.makeClientStreamRequest(
        ...([path, encode, decode, metadataOf(options), limits(options)] as const),
        settle(resolve, reject),
      );
      cancelWith(options.signal, call);
      void feed(call, requests);
    });
  }

  serverStream<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"server", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): AsyncIterableIterator<Response, undefined> {
    const { path, encode, decode } = codecs(method);
    const call = this.#client.makeServerStreamRequest(
      ...([path, encode, decode, request, metadataOf(options), limits(options)] as const),
    );
    cancelWith(options.signal, call);
    return answers(call);
  }

  bidiStream<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"bidi", RequestFields, Request, ResponseFields, Response>,
    requests: AsyncIterable<RequestFields>,
    options: CallOptions = {},
  ): AsyncIterableIterator<Response, undefined> {
    const { path, encode, decode } = codecs(method);
    const call = this.#client.makeBidiStreamRequest(
      ...([path, encode, decode, metadataOf(options), limits(options)] as const),
    );
    cancelWith(options.signal, call);
    void feed(call, requests);
    return answers(call);
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }
}

function codecs<RequestFields, ResponseFields, Response>({
  path,
  request,
  response,
}: Pick<MethodDefinition<MethodKind, RequestFields, unknown, ResponseFields, Response>, "path"> & {
  readonly request: Codec<RequestFields, unknown>;
  readonly response: Codec<ResponseFields, Response>;
}) {
  return {
    path,
    encode: (fields: RequestFields) => Buffer.from(request.encode(fields).finish()),
    decode: (bytes: Buffer) => response.decode(new Uint8Array(bytes)),
  };
}

function metadataOf({ requestId, traceparent }: CallOptions): Metadata {
  const metadata = new Metadata();
  if (requestId !== undefined) metadata.set(REQUEST_ID_KEY, Buffer.from(requestId));
  if (traceparent !== undefined) metadata.set("traceparent", traceparent);
  return metadata;
}

function limits({ timeoutMs = TIMEOUT_MS }: CallOptions) {
  return { deadline: Date.now() + timeoutMs };
}

function settle<Response>(resolve: (answer: Response) => void, reject: (error: unknown) => void) {
  return (failure: ServiceError | null, answer?: Response): void => {
    if (failure !== null) reject(errorOf(failure));
    else if (answer !== undefined) resolve(answer);
  };
}

function cancelWith(signal: AbortSignal | undefined, call: { cancel(): void }): void {
  if (signal?.aborted === true) call.cancel();
  signal?.addEventListener("abort", () => call.cancel(), { once: true });
}

interface Writable {
  write(message: unknown): boolean;
  end(): void;
  cancel(): void;
  readonly destroyed: boolean;
}

/** Stops when the call is over; what `requests` throws cancels it. */
async function feed(call: Writable & NodeJS.EventEmitter, requests: AsyncIterable<unknown>): Promise<void> {
  let isOver = false;
  const over = new Promise<void>((resolve) => {
    call.once("status", () => {
      isOver = true;
      resolve();
    });
  });
  try {
    for await (const request of requests) {
      if (isOver) return;
      if (!call.write(request)) await Promise.race([once(call, "drain"), over]);
    }
    call.end();
  } catch {
    call.cancel();
  }
}

async function* answers<Response>(call: ClientReadableStream<Response>): AsyncGenerator<Response, undefined> {
  try {
    for await (const answer of call) yield answer as Response;
  } catch (failure) {
    throw errorOf(failure as ServiceError);
  } finally {
    call.cancel();
  }
  return undefined;
}

/** By the code beside the status; without one the client ended the call itself. */
export function errorOf({ code: number, details, metadata }: ServiceError): GatehouseError {
  const text = (key: string): string => String(metadata?.get(key)[0] ?? "");
  const code = text(CODE_KEY);
  const hint = decodeURIComponent(text(HINT_KEY));
  const retryAfterMs = Number(text(RETRY_AFTER_KEY));
  const given = { ...(hint === "" ? {} : { hint }), ...(retryAfterMs === 0 ? {} : { retryAfterMs }) };
  const error = isErrorCode(code)
    ? new GatehouseError(code, details, given)
    : new GatehouseError(ownCode(number), `${number}: ${details}`);
  if (isErrorCode(code) && error.status !== number) throw new Error(`${code} came with status ${number}`);
  return error;
}

function ownCode(number: number) {
  if (number === status.CANCELLED) return "rpc.cancelled";
  if (number === status.DEADLINE_EXCEEDED) return "rpc.deadline";
  return number === status.UNAVAILABLE ? "quic.closed" : "rpc.unknown-error";
}
