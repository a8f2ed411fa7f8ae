import { type Clock, GatehouseError, type UnixMs } from "../core/index.ts";
import { METHODS, type MethodDefinition } from "../gen/index.ts";
import type { Caller, CallOptions, MayRepeat } from "../rpc/index.ts";
import { askedNow, isSkewed, skewSince } from "./clock-skew.ts";
import type { HandshakeFacts } from "./link/lane.ts";
import type { Link } from "./link/link.ts";
import type { Wire } from "./link/wire.ts";
import type { Outbox } from "./offline/outbox.ts";
import type { EnqueuedCall, EnqueueOptions } from "./offline/outbox-types.ts";
import type { CachedSecret, CachedSecretOptions, SecretCache } from "./offline/secret-cache.ts";
import type { Remote } from "./remotes.ts";
import type { RenewalOptions } from "./renewal/renewal-wish.ts";
import { honouringRetryAfter } from "./retry-after.ts";
import { Stubbed } from "./stubs.ts";

export interface ClientParts {
  readonly remote: Remote;
  readonly link: Link;
  readonly caller: Caller;
  /** Undefined without a home, as is the next. */
  readonly outbox: Outbox | undefined;
  readonly secretCache: SecretCache | undefined;
  /** Waits for what connections have left to be stored; bounded. */
  readonly settle: () => Promise<void>;
  /** Undefined for this home's own gatehouse, which renews by itself. */
  readonly keeper: CertificateKeeper | undefined;
  readonly clock: Clock;
}

/** What keeps this device's certificate good. */
export interface CertificateKeeper {
  readonly renew: (options: RenewalOptions) => Promise<Remote>;
  /** By themselves. */
  readonly renewals: AsyncDisposable;
  /** The gatehouse's clock is so many milliseconds ahead of ours. Never rejects. */
  readonly heardClock: (skewMs: number) => Promise<void>;
}

/** What a gatehouse's clock has to have moved, against ours, to be written down again. */
const SKEW_GRAIN_MS = 60_000;

/**
 * One gatehouse, to make any number of calls on. It holds a connection, and makes another one when the gatehouse asks for
 * that or the connection is lost: calls notice a delay at most.
 */
export class Client extends Stubbed implements AsyncDisposable {
  readonly remote: Remote;
  readonly #link: Link;
  readonly #outbox: Outbox | undefined;
  readonly #secretCache: SecretCache | undefined;
  readonly #caller: Caller;
  readonly #settle: () => Promise<void>;
  readonly #keeper: CertificateKeeper | undefined;
  readonly #clock: Clock;
  readonly #mayRepeat: MayRepeat;
  #skewMs: number | undefined;
  #isSkewStored: Promise<void> | undefined;

  constructor({ remote, link, caller, outbox, secretCache, settle, keeper, clock }: ClientParts) {
    super();
    this.remote = remote;
    this.#outbox = outbox;
    this.#secretCache = secretCache;
    this.#skewMs = remote.lastSkewMs;
    this.#keeper = keeper;
    this.#clock = clock;
    this.#link = link;
    this.#mayRepeat = honouringRetryAfter(link.mayRepeat, clock);
    this.#caller = caller;
    this.#settle = settle;
  }

  /** What calls go over now. */
  get wire(): Wire {
    return this.#link.wire;
  }

  /** Why they do, for people. */
  get wireReason(): string {
    return this.#link.wireReason;
  }

  /**
   * Changes that wait until the gatehouse can be reached, in this home and for this gatehouse.
   * @throws usage.bad-argument of a client without a home
   */
  get outbox(): Outbox {
    if (this.#outbox === undefined) throw noHome();
    return this.#outbox;
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
   * How far the gatehouse's clock is ahead of this machine's, milliseconds, as `Health/Status` or a renewal last showed; exact
   * to half a round trip. Undefined until one of them has. Up to `LIMITS.certificateBackdateMs` nothing depends on it.
   */
  get clockSkewMs(): number | undefined {
    return this.#skewMs;
  }

  /**
   * One request, one response. A call that a lost connection took along is sent again on the next one, under the same
   * request id and within its time: it has no side effects, or the gatehouse knows the id and does nothing twice.
   *
   * So is a call that the gatehouse turned away with a time to come back at (`retryAfterMs` of `rpc.rate-limited`
   * and `rpc.overloaded`): after that time, three times at most, and only when its own time is not up before;
   * else the error is told at once. `retry: "never"` turns all of that off.
   *
   * @throws GatehouseError what the gatehouse answered, `rpc.deadline`, `rpc.cancelled`, why the gatehouse let this device
   * not in, or what keeps it from being reached.
   */
  override call<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: CallOptions = {},
  ): Promise<Response> {
    const { openSoonest, openAfterHandshake } = this.#link;
    // Early data may be put off, and would have to be sent again.
    const mayGoEarly = method.hasNoSideEffects && options.retry !== "never";
    const open = mayGoEarly ? openSoonest : openAfterHandshake;
    const answer = this.#caller.unary(open, method, request, options, this.#mayRepeat);
    return method.path === METHODS.Health.Status.path ? this.#hearClock(answer) : answer;
  }

  /** `Outbox.enqueue`: a change that is stored now, and made when the gatehouse can be reached, be it by a later process. */
  async enqueue<RequestFields, Request, ResponseFields, Response>(
    method: MethodDefinition<"unary", RequestFields, Request, ResponseFields, Response>,
    request: RequestFields,
    options: EnqueueOptions = {},
  ): Promise<EnqueuedCall<Response>> {
    return await this.outbox.enqueue(method, request, options);
  }

  /**
   * The newest version of a secret, as the gatehouse gives it; a copy goes into this home, sealed. When the gatehouse cannot
   * be reached, that copy, marked as stale, if it is no older than `maxStaleMs` and was not asked for with less. When the
   * gatehouse refuses (denied, revoked, expired, not there) the copy is gone before that is told; of a device that is not let
   * in any more, all of them are.
   *
   * At most `LIMITS.cachedSecrets` are kept and `LIMITS.cachedSecretsBytes` of them in a home; the oldest give way. A
   * device that was revoked keeps its copies until it hears of that or they are too old.
   *
   * @throws GatehouseError what `call` throws; RangeError
   */
  async cachedSecret(path: string, options: CachedSecretOptions): Promise<CachedSecret> {
    const { timeoutMs, signal } = options;
    const call: CallOptions = {
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(signal === undefined ? {} : { signal }),
    };
    if (this.#secretCache === undefined) throw noHome();
    return await this.#secretCache.get(path, options, () => this.call(METHODS.Vault.Get, { path }, call));
  }

  /** One request, a stream of responses. Leaving the loop cancels the call. It ends with its connection. */
  override stream<RequestFields, Request, ResponseFields, Response>(
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
    if (this.#keeper === undefined) {
      throw new GatehouseError(
        "usage.bad-argument",
        "a gatehouse renews its own command line's certificate",
        {
          hint: "its server certificate is renewed with: gatehouse ca renew",
        },
      );
    }
    const { certificateExpiresAt, lastSkewMs } = await this.#keeper.renew(options);
    this.#skewMs = lastSkewMs ?? this.#skewMs;
    return { expiresAt: certificateExpiresAt };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#outbox?.[Symbol.asyncDispose]();
    await this.#keeper?.renewals[Symbol.asyncDispose]();
    this.#caller[Symbol.dispose]();
    await this.#link[Symbol.asyncDispose]();
    await this.#settle();
    await this.#isSkewStored;
  }

  async #hearClock<Response>(answer: Promise<Response>): Promise<Response> {
    const asked = askedNow(this.#clock);
    const response = await answer;
    const theirNow = nowOf(response);
    if (theirNow === undefined) return response;
    const skewMs = skewSince(asked, this.#clock, theirNow);
    const isNews = isSkewed(skewMs) || isSkewed(this.#skewMs);
    if (isNews && Math.abs(skewMs - (this.#skewMs ?? 0)) >= SKEW_GRAIN_MS)
      this.#isSkewStored = this.#keeper?.heardClock(skewMs);
    this.#skewMs = skewMs;
    return response;
  }
}

function noHome(): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", "a client without a home keeps nothing on the disk", {
    hint: "pair a home for it: connect({ home })",
  });
}

/** Of a status; older gatehouses leave it out. */
function nowOf(response: unknown): number | undefined {
  if (typeof response !== "object" || response === null || !("now" in response)) return undefined;
  const { now } = response;
  return typeof now === "number" && now > 0 ? now : undefined;
}
