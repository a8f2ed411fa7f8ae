import { GatehouseError } from "../core/index.ts";
import type { Codec, MethodDefinition, MethodKind } from "../gen/index.ts";
import type { AnyMethod, CallContext } from "./context.ts";

export type Awaitable<Value> = Value | Promise<Value>;

/**
 * Stands around every call. `request` is the decoded message, or the stream of them for a method whose caller
 * streams; for a method that answers with a stream, `next` answers the stream before its first message, and
 * `context.onEnd` tells the end. What it throws becomes the call's answer.
 */
export type Interceptor<Peer> = <Answer>(
  context: CallContext<Peer>,
  request: unknown,
  next: () => Awaitable<Answer>,
) => Awaitable<Answer>;

/** How a method of each kind is served. A handler that streams must heed `context.signal` while it waits. */
export interface Handlers<Peer, Request, ResponseFields> {
  readonly unary: (request: Request, context: CallContext<Peer>) => Awaitable<ResponseFields>;
  readonly server: (request: Request, context: CallContext<Peer>) => AsyncIterable<ResponseFields>;
  readonly client: (
    requests: AsyncIterable<Request>,
    context: CallContext<Peer>,
  ) => Awaitable<ResponseFields>;
  readonly bidi: (
    requests: AsyncIterable<Request>,
    context: CallContext<Peer>,
  ) => AsyncIterable<ResponseFields>;
}

export type Handler<Peer, Kind extends MethodKind, Request, ResponseFields> = Handlers<
  Peer,
  Request,
  ResponseFields
>[Kind];

/** Encoded messages in, encoded messages out: the typed handler is inside. */
export type Route<Peer> = { readonly method: AnyMethod } & (
  | {
      readonly input: "one";
      run(request: Uint8Array, context: CallContext<Peer>): Awaitable<Answer>;
    }
  | {
      readonly input: "many";
      run(requests: AsyncIterable<Uint8Array>, context: CallContext<Peer>): Awaitable<Answer>;
    }
);

/** One encoded message, or a stream of them. */
export type Answer = Uint8Array | AsyncIterable<Uint8Array>;

export function composeInterceptors<Peer>(interceptors: readonly Interceptor<Peer>[]): Interceptor<Peer> {
  return interceptors.reduceRight<Interceptor<Peer>>(
    (inner, outer) => (context, request, next) =>
      outer(context, request, () => inner(context, request, next)),
    (_context, _request, next) => next(),
  );
}

export function routeOf<Peer, Kind extends MethodKind, RequestFields, Request, ResponseFields, Response>(
  method: MethodDefinition<Kind, RequestFields, Request, ResponseFields, Response>,
  handlers: Partial<Handlers<Peer, Request, ResponseFields>>,
  intercept: Interceptor<Peer>,
): Route<Peer> {
  const { request: codec, response } = method;
  const encode = (fields: ResponseFields): Uint8Array => response.encode(fields).finish(true);
  const encodeAll = (all: AsyncIterable<ResponseFields>) => mapped(all, encode);
  const { unary, server, client, bidi } = handlers;
  if (unary !== undefined) {
    const run = (bytes: Uint8Array, context: CallContext<Peer>) => {
      const request = decodeMessage(codec, bytes);
      return after(
        intercept(context, request, () => unary(request, context)),
        encode,
      );
    };
    return { method, input: "one", run };
  }
  if (server !== undefined) {
    const run = (bytes: Uint8Array, context: CallContext<Peer>) => {
      const request = decodeMessage(codec, bytes);
      return after(
        intercept(context, request, () => server(request, context)),
        encodeAll,
      );
    };
    return { method, input: "one", run };
  }
  const decodeAll = (all: AsyncIterable<Uint8Array>) => mapped(all, (bytes) => decodeMessage(codec, bytes));
  if (client !== undefined) {
    const run = (all: AsyncIterable<Uint8Array>, context: CallContext<Peer>) => {
      const requests = decodeAll(all);
      return after(
        intercept(context, requests, () => client(requests, context)),
        encode,
      );
    };
    return { method, input: "many", run };
  }
  if (bidi === undefined) throw new TypeError(`routeOf: no handler for ${method.path}`);
  const run = (all: AsyncIterable<Uint8Array>, context: CallContext<Peer>) => {
    const requests = decodeAll(all);
    return after(
      intercept(context, requests, () => bidi(requests, context)),
      encodeAll,
    );
  };
  return { method, input: "many", run };
}

/** @throws GatehouseError `rpc.bad-message`. */
export function decodeMessage<Fields, Message>(codec: Codec<Fields, Message>, bytes: Uint8Array): Message {
  try {
    return codec.decode(bytes);
  } catch (cause) {
    throw new GatehouseError("rpc.bad-message", "a message does not decode as what the method takes", {
      cause,
    });
  }
}

async function* mapped<In, Out>(all: AsyncIterable<In>, map: (item: In) => Out): AsyncGenerator<Out> {
  for await (const item of all) yield map(item);
}

/** `then` without a turn of the loop where there is nothing to wait for. */
function after<In, Out>(value: Awaitable<In>, map: (value: In) => Out): Awaitable<Out> {
  return value instanceof Promise ? value.then(map) : map(value);
}
