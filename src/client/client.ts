import { GatehouseError, type UnixMs } from "../core/index.ts";
import type { MethodDefinition } from "../gen/index.ts";
import type { Caller, CallOptions } from "../rpc/index.ts";
import type { HandshakeFacts } from "./lane.ts";
import type { Link } from "./link.ts";
import type { Remote } from "./remotes.ts";
import type { RenewalOptions } from "./renewal.ts";

export interface ClientParts {
  readonly remote: Remote;
  readonly link: Link;
  readonly caller: Caller;
  /** Waits for what connections have left to be stored; bounded. */
  readonly settle: () => Promise<void>;
  /** Undefined for this home's own gatehouse, which renews by itself. */
  readonly renew: ((options: RenewalOptions) => Promise<Remote>) | undefined;
  readonly renewals: AsyncDisposable | undefined;
}

/**
 * One gatehouse, to make any number of calls on. It holds a connection, and makes another one when the gatehouse asks for
 * that or the connection is lost: calls notice a delay at most.
 */
export class Client implements AsyncDisposable {
  readonly remote: Remote;
  readonly wire = "quic";
  readonly #link: Link;
  readonly #caller: Caller;
  readonly #settle: () => Promise<void>;
  readonly #renew: ClientParts["renew"];
  readonly #renewals: AsyncDisposable | undefined;

  constructor({ remote, link, caller, settle, renew, renewals }: ClientParts) {
    this.remote = remote;
    this.#renew = renew;
    this.#renewals = renewals;
    this.#link = link;
    this.#caller = caller;
    this.#settle = settle;
  }

  /** Of the newest connection, from the first packet to the checked server; so far, until it is checked. */
  get handshakeMs(): number {
    return this.#link.handshakeMs;
  }

  /** How the newest connection came to be; settled when the first reply on it has come. */
  get handshake(): HandshakeFacts {
    return this.#link.handshake;
  }

  /** Smoothed round-trip time as the transport sees it, milliseconds. */
  get rttMs(): number | undefined {
    return this.#link.rttMs;
  }

  /**
   * One request, one response. A call that a lost connection took along is sent again on the next one, under the same
   * request id and within its time: it has no side effects, or the gatehouse knows the id and does nothing twice.
   *
   * @throws GatehouseError what the gatehouse answered, `rpc.deadline`, `rpc.cancelled`, why the gatehouse let this device
   * not in, or what keeps it from being reached.
   */
  call<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): Promise<Response> {
    const { openSoonest, openAfterHandshake, mayRepeat } = this.#link;
    const open = method.hasNoSideEffects ? openSoonest : openAfterHandshake;
    return this.#caller.unary(open, method, request, options, mayRepeat);
  }

  /** One request, a stream of responses. Leaving the loop cancels the call. It ends with its connection. */
  stream<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"server", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): AsyncIterableIterator<Response, undefined> {
    return this.#caller.serverStream(this.#link.openAfterHandshake, method, request, options);
  }

  /**
   * Moves to another local port, on whatever address leads to the gatehouse now; calls under way go on. It happens by itself
   * when this machine's addresses change: for whoever knows sooner.
   * @throws quic.timed-out when nothing gets through from there: the old path stays; quic.limit, quic.closed
   */
  migrate(): Promise<void> {
    return this.#link.migrate();
  }

  /**
   * Renews this device's certificate at the gatehouse now, over a connection of its own; it does so by itself at half of the
   * certificate's life. Connections that are made from then on use the new one.
   * @throws usage.bad-argument at this home's own gatehouse; certificate.*, device.*, quic.*, rpc.*
   */
  async renew(options: RenewalOptions = {}): Promise<{ readonly expiresAt: UnixMs }> {
    if (this.#renew === undefined) {
      throw new GatehouseError(
        "usage.bad-argument",
        "a gatehouse renews its own command line's certificate",
        {
          hint: "its server certificate is renewed with: gatehouse ca renew",
        },
      );
    }
    const { certificateExpiresAt } = await this.#renew(options);
    return { expiresAt: certificateExpiresAt };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#renewals?.[Symbol.asyncDispose]();
    this.#caller[Symbol.dispose]();
    await this.#link[Symbol.asyncDispose]();
    await this.#settle();
  }
}
