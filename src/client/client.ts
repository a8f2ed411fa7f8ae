import type { MethodDefinition } from "../gen/index.ts";
import type { QuicClientConnection } from "../quic/index.ts";
import type { Caller, CallOptions } from "../rpc/index.ts";
import type { Remote } from "./remotes.ts";

/** A connection to one gatehouse, to make any number of calls on. */
export class Client implements AsyncDisposable {
  readonly remote: Remote;
  readonly wire = "quic";
  /** From the first packet to the checked server. */
  readonly handshakeMs: number;
  readonly #quic: QuicClientConnection;
  readonly #caller: Caller;

  constructor(remote: Remote, quic: QuicClientConnection, caller: Caller) {
    this.remote = remote;
    this.handshakeMs = quic.handshakeMs;
    this.#quic = quic;
    this.#caller = caller;
  }

  /** Smoothed round-trip time as the transport sees it, milliseconds. */
  get rttMs(): number | undefined {
    return this.#quic.connection.rttMs;
  }

  /**
   * One request, one response.
   * @throws GatehouseError what the gatehouse answered, `rpc.deadline`, `rpc.cancelled`, or why the connection ended.
   */
  call<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): Promise<Response> {
    return this.#caller.unary(() => this.#quic.connection.openStream(), method, request, options);
  }

  /** One request, a stream of responses. Leaving the loop cancels the call. */
  stream<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"server", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): AsyncIterableIterator<Response, undefined> {
    return this.#caller.serverStream(() => this.#quic.connection.openStream(), method, request, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#caller[Symbol.dispose]();
    await this.#quic[Symbol.asyncDispose]();
  }
}
