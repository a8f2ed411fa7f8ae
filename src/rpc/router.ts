import { type Clock, GatehouseError, LIMITS, type Logger } from "../core/index.ts";
import type { MethodDefinition, MethodKind } from "../gen/index.ts";
import type { AnyMethod } from "./context.ts";
import { Deadlines } from "./deadlines.ts";
import { type EarlyData, type EarlyDataCounts, tooEarly } from "./early-data.ts";
import { type CallBytes, HeldBytes } from "./held-bytes.ts";
import { composeInterceptors, type Handler, type Interceptor, type Route, routeOf } from "./route.ts";
import { ServerCall } from "./server-call.ts";
import type { CallStream } from "./stream.ts";

export interface RouterOptions<Peer> {
  readonly clock: Clock;
  readonly log: Logger;
  /** Outermost first. */
  readonly interceptors?: readonly Interceptor<Peer>[];
  /** What may be answered from early data; without it, nothing is. */
  readonly earlyData?: EarlyData<Peer>;
  /** What to say of a method that nothing handles; default `rpc.unknown-method`. */
  readonly unknownMethod?: () => GatehouseError;
}

/** Methods and what serves them; one for a daemon, whatever wires it has. */
export class Router<Peer> implements AsyncDisposable {
  readonly #deadlines: Deadlines;
  readonly #log: Logger;
  readonly #intercept: Interceptor<Peer>;
  readonly #earlyData: EarlyData<Peer> | undefined;
  readonly #unknownMethod: () => GatehouseError;
  readonly #held = new HeldBytes<Peer>();
  readonly #routes = new Map<string, Route<Peer>>();
  readonly #calls = new Set<ServerCall<Peer>>();
  #isDraining = false;
  #onIdle: (() => void) | undefined;

  constructor(options: RouterOptions<Peer>) {
    const { clock, log, interceptors = [], earlyData, unknownMethod: unknown = unknownMethod } = options;
    this.#unknownMethod = unknown;
    this.#deadlines = new Deadlines(clock);
    this.#log = log;
    this.#intercept = composeInterceptors(interceptors);
    this.#earlyData = earlyData;
  }

  /** Calls whose request has begun to arrive and that have not been answered. */
  get callsInFlight(): number {
    return this.#calls.size;
  }

  /** What came in early data; undefined for a router that takes none. */
  get earlyDataCounts(): EarlyDataCounts | undefined {
    return this.#earlyData?.counts;
  }

  get methods(): readonly AnyMethod[] {
    return [...this.#routes.values()].map(({ method }) => method);
  }

  /** @throws TypeError when the method has a handler already. */
  handle<Kind extends MethodKind, RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<Kind, RequestFields, Request, ResponseFields, Response>,
    handler: Handler<Peer, Kind, Request, ResponseFields>,
  ): this {
    if (this.#routes.has(method.path))
      throw new TypeError(`Router.handle: ${method.path} is handled already`);
    this.#routes.set(method.path, routeOf(method, { [method.kind]: handler }, this.#intercept));
    return this;
  }

  /** @throws TypeError naming a method of `services` (the generated `METHODS`) that nothing handles. */
  assertHandles(services: Readonly<Record<string, Readonly<Record<string, AnyMethod>>>>): void {
    for (const { path } of Object.values(services).flatMap((methods) => Object.values(methods))) {
      if (!this.#routes.has(path)) throw new TypeError(`Router: nothing handles ${path}`);
    }
  }

  /** Names of the services that have a method here, sorted. */
  get services(): readonly string[] {
    const names = [...this.#routes.keys()].map((path) => path.slice(1, path.lastIndexOf("/")));
    return [...new Set(names)].sort();
  }

  /** Takes the stream of one call and answers it. Never throws: whatever comes, the peer gets a close or a reset. */
  serve(stream: CallStream, peer: Peer): void {
    new ServerCall(this.#host, stream, peer).start();
  }

  /**
   * Refuses new calls (`rpc.draining`) and waits for those in flight; after `limitMs` they are ended with
   * the same code. For good: a router does not come back. Answers whether there were any: then answers have just been sent.
   */
  async drain(limitMs: number = LIMITS.drainMs): Promise<boolean> {
    this.#isDraining = true;
    if (this.#calls.size === 0) return false;
    if (limitMs <= 0) {
      this.#endAll();
      return true;
    }
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const limit = { expire: () => this.#endAll() };
    const tick = this.#deadlines.add(limit, this.#deadlines.nowMs() + limitMs);
    await idle;
    this.#deadlines.remove(limit, tick);
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
    this.#deadlines[Symbol.dispose]();
  }

  #endAll(): void {
    for (const call of this.#calls) call.fail(draining());
  }

  readonly #host = {
    deadlines: (): Deadlines => this.#deadlines,
    hold: (peer: Peer): CallBytes => this.#held.open(peer),
    route: (path: string): Route<Peer> => {
      if (this.#isDraining) throw draining();
      const route = this.#routes.get(path);
      if (route !== undefined) return route;
      throw this.#unknownMethod();
    },
    acceptEarly: (method: AnyMethod, requestId: Uint8Array | undefined, peer: Peer): void => {
      if (this.#earlyData === undefined) throw tooEarly();
      this.#earlyData.accept(method, requestId, peer);
    },
    began: (call: ServerCall<Peer>): void => void this.#calls.add(call),
    ended: (call: ServerCall<Peer>): void => {
      if (this.#calls.delete(call) && this.#calls.size === 0) this.#onIdle?.();
    },
    failed: (method: AnyMethod | undefined, cause: unknown): void => {
      this.#log.error("call-failed", { method: method?.path, error: describe(cause) });
    },
  };
}

function unknownMethod(): GatehouseError {
  return new GatehouseError("rpc.unknown-method", "this gatehouse has no such method", {
    hint: "the two sides may be of different versions",
  });
}

function draining(): GatehouseError {
  return new GatehouseError("rpc.draining", "the gatehouse is shutting down", { hint: "try again shortly" });
}

function describe(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : typeof cause;
}
