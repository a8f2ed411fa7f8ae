/** The schema's services as objects with methods, for programs: `client.vault.get({ path: "shared/db" })`. */
import { type MethodDefinition, SERVICES } from "../gen/index.ts";
import type { CallOptions } from "../rpc/index.ts";

/** Calls by what `METHODS` says of a method. */
export interface Calls {
  call<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options?: CallOptions,
  ): Promise<Response>;
  stream<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"server", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options?: CallOptions,
  ): AsyncIterableIterator<Response, undefined>;
}

/** One method: a promise of its answer or, where there are many, something to loop over; leaving the loop ends the call. */
export type Stub<Method> =
  Method extends MethodDefinition<"unary", infer RequestFields, infer _0, infer _1, infer Response>
    ? (request: RequestFields, options?: CallOptions) => Promise<Response>
    : Method extends MethodDefinition<"server", infer RequestFields, infer _0, infer _1, infer Response>
      ? (request: RequestFields, options?: CallOptions) => AsyncIterableIterator<Response, undefined>
      : never;

/** Every service of the schema. */
export type Stubs = {
  readonly [Service in keyof typeof SERVICES]: {
    readonly [Method in keyof (typeof SERVICES)[Service]]: Stub<(typeof SERVICES)[Service][Method]>;
  };
};

/** A method of a kind that stubs can be made of; the schema has no others. */
type StubbedMethod =
  | MethodDefinition<"unary", unknown, unknown, unknown, unknown>
  | MethodDefinition<"server", unknown, unknown, unknown, unknown>;

abstract class CallsWithStubs implements Calls {
  constructor() {
    for (const [name, methods] of Object.entries(SERVICES)) {
      Object.defineProperty(this, name, { value: serviceOf(this, methods), enumerable: true });
    }
  }

  abstract call: Calls["call"];
  abstract stream: Calls["stream"];
}

/** What makes calls and shall have the stubs, too, extends this. The loop above makes what the type promises, unseen by the compiler. */
export const Stubbed = CallsWithStubs as abstract new () => Calls & Stubs;

function serviceOf(calls: Calls, methods: Readonly<Record<string, StubbedMethod>>): object {
  return Object.fromEntries(
    Object.entries(methods).map(([name, method]) => [name, stubOf(calls, method)] as const),
  );
}

function stubOf(calls: Calls, method: StubbedMethod): Stub<StubbedMethod> {
  return method.kind === "unary"
    ? (request, options) => calls.call(method, request, options)
    : (request, options) => calls.stream(method, request, options);
}
