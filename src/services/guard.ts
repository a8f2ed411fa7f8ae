/**
 * What stands around every call: authenticate → limits → authorize → handler → audit. A denial is recorded before it is
 * answered, a read before its answer leaves; a change carries its record into its own journal entry (`Granted.mutation`).
 */
import type { Action, Resource } from "../authz/index.ts";
import { GatehouseError, isGatehouseError, LIMITS } from "../core/index.ts";
import type { Awaitable, CallContext, Interceptor } from "../rpc/index.ts";
import {
  absentRequest,
  type CallerFacts,
  type Granted,
  GrantedCall,
  type GrantedCallParts,
  type GuardOptions,
  requestOf,
} from "./granted-call.ts";
import { type Load, occupy } from "./load.ts";
import type { Peer } from "./peer.ts";
import { SUBJECT_BY_PATH, type Subject } from "./subject.ts";
import { isAsyncIterable, supervised } from "./supervised-stream.ts";

export type { AuditTrail, CallerFacts, DecisionMaker, Granted, RequestNotes } from "./granted-call.ts";
export type { Circumstances } from "./subject.ts";

/** Calls that are counted in the log, not listed: they change and show nothing. */
const COUNTED: ReadonlyMap<string, Action> = new Map([
  ["/gatehouse.v1.Health/Ping", "gatehouse:ping"],
  ["/gatehouse.v1.Health/Info", "gatehouse:ping"],
  ["/grpc.health.v1.Health/Check", "gatehouse:ping"],
]);
/** Calls that decide for themselves: folder by folder, tool by tool, approval by approval. */
const SELF_DECIDED: ReadonlySet<string> = new Set(
  [
    ...["Vault/List", "Tools/List", "Tools/Run"],
    ...["Approvals/List", "Approvals/Show", "Approvals/Watch", "Approvals/Decide"],
  ].map((method) => `/gatehouse.v1.${method}`),
);
/** Calls that cost something to be judged, whoever makes them: arguments are matched against patterns. */
const COSTLY: ReadonlyMap<string, Action> = new Map([["/gatehouse.v1.Tools/Run", "tool:run"]]);
/** Calls whose handlers write what came of them: they know first when they have decided. */
const SELF_RECORDED: ReadonlySet<string> = new Set(["/gatehouse.v1.Tools/Run"]);

/** What there is none of, and who hears so: to others it is a denial like any other. */
const UNKNOWN: readonly {
  readonly codes: readonly string[];
  readonly to: Action;
  readonly isDevice: boolean;
}[] = [
  {
    codes: ["device.not-found", "device.ambiguous", "pairing.not-waiting"],
    ...{ to: "device:list", isDevice: true },
  },
  { codes: ["tool.not-found"], to: "tool:list", isDevice: false },
  { codes: ["approval.not-found"], to: "approval:list", isDevice: false },
  { codes: ["user.not-found"], to: "user:list", isDevice: false },
];
/** What denials of calls about unknown things say was asked for, as of known ones. */
const ASKED_FOR: ReadonlyMap<string, Action> = new Map([
  ["/gatehouse.v1.Tools/Run", "tool:run"],
  ["/gatehouse.v1.Approvals/Decide", "approval:decide"],
  ["/gatehouse.v1.Users/Remove", "user:manage"],
  ["/gatehouse.v1.Users/Grant", "user:manage"],
  ["/gatehouse.v1.Users/Ungrant", "user:manage"],
]);
/** All that a device whose certificate has run out may ask for. */
const RENEWAL = "/gatehouse.v1.Device/Renew";

export class Guard {
  readonly #options: GuardOptions;
  readonly #gatehouse: Resource;
  readonly #granted = new WeakMap<CallContext<Peer>, GrantedCall>();
  readonly #loads = new Map<string, Load>();
  /** Of calls that stream answers, by device. */
  readonly #streams = new Map<string, Set<() => void>>();

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#gatehouse = { kind: "gatehouse", id: options.subjects.gatehouseId };
  }

  /** Outermost first. */
  get interceptors(): readonly Interceptor<Peer>[] {
    return [
      (context, _request, next) => this.#limit(context, next),
      (context, request, next) => this.#authorize(context, request, next),
    ];
  }

  /** @throws TypeError for a call that did not come through the interceptors. */
  granted(context: CallContext<Peer>): Granted {
    const call = this.#granted.get(context);
    if (call === undefined) throw new TypeError(`Guard.granted: ${context.method.path} was not authorized`);
    return call;
  }

  /** What policies would say of a device, were it to call now over QUIC. Not recorded: nothing is asked for. */
  wouldAllow(device: CallerFacts & { readonly id: string }, subject: Subject): boolean {
    return this.#options.authorizer.decide(absentRequest(this.#options, device, subject)).kind === "allow";
  }

  /** Something about a device has changed: calls of its that stream answers are judged anew. */
  recheck(deviceId: string): void {
    for (const check of this.#streams.get(deviceId) ?? []) check();
  }

  /** Something has changed that may be about anybody. */
  recheckAll(): void {
    for (const deviceId of this.#streams.keys()) this.recheck(deviceId);
  }

  #limit<Answer>(context: CallContext<Peer>, next: () => Awaitable<Answer>): Awaitable<Answer> {
    const load = this.#loadOf(context.peer.deviceId);
    if (load.calls >= LIMITS.callsPerDevice) {
      throw new GatehouseError("rpc.overloaded", `this device has ${LIMITS.callsPerDevice} calls in flight`, {
        retryAfterMs: 1_000,
      });
    }
    load.calls += 1;
    return occupy(load, context, next);
  }

  /** Kept for good: there are no more of them than paired devices. */
  #loadOf(deviceId: string): Load {
    const known = this.#loads.get(deviceId);
    if (known !== undefined) return known;
    const load = { calls: 0 };
    this.#loads.set(deviceId, load);
    return load;
  }

  #authorize<Answer>(
    context: CallContext<Peer>,
    request: unknown,
    next: () => Awaitable<Answer>,
  ): Awaitable<Answer> {
    if (this.#isCounted(context)) return next();
    const { deviceId } = context.peer;
    const { rates } = this.#options;
    // Each leaves a line in the audit log.
    rates.call(deviceId);
    const costly = COSTLY.get(context.method.path);
    if (costly !== undefined) rates.action(deviceId, costly);
    const call = this.#judge(context, request);
    // Calls that decide for themselves may yet be allowed.
    const isRated = call.isAllowed || SELF_DECIDED.has(context.method.path);
    if (isRated && costly === undefined) rates.action(deviceId, call.subject.action);
    call.note();
    this.#granted.set(context, call);
    return this.#recorded(call, context, next);
  }

  /** Decides a call that is counted in the log, not listed, without what a record would need: pings are many. */
  #isCounted(context: CallContext<Peer>): boolean {
    const action = COUNTED.get(context.method.path);
    const facts = action === undefined ? undefined : context.peer.facts();
    if (action === undefined || facts === undefined || context.peer.access !== "full") return false;
    const subject = { action, resource: this.#gatehouse };
    const decision = this.#options.authorizer.decide(requestOf(this.#options, context, facts, subject));
    if (decision.kind !== "allow") return false;
    this.#options.audit.count(action);
    return true;
  }

  /** @throws device.revoked; what the subject finds wrong with the request. */
  #judge(context: CallContext<Peer>, request: unknown): GrantedCall {
    const facts = context.peer.facts();
    if (facts === undefined) throw new GatehouseError("device.revoked", "this device was revoked");
    if (context.peer.access === "renewal" && context.method.path !== RENEWAL) throw renewalOnly();
    const subjectOf = SUBJECT_BY_PATH.get(context.method.path);
    if (subjectOf === undefined) throw new GatehouseError("authz.denied", "no policy speaks of this method");
    const base = { context, facts, options: this.#options };
    try {
      const callerId = context.peer.deviceId;
      const subject = subjectOf(request, { ...this.#options.subjects, callerId });
      const isAboutDevice = subject.resource.kind === "device";
      return new GrantedCall({ ...base, subject, isAboutDevice, isItself: true });
    } catch (failure) {
      return this.#aboutNothing(base, failure);
    }
  }

  /** Whether something exists is told only to those who may list such things; to others it is a denial in the same words. */
  #aboutNothing(
    base: Pick<GrantedCallParts, "context" | "facts" | "options">,
    failure: unknown,
  ): GrantedCall {
    const unknown = UNKNOWN.find(({ codes }) => isGatehouseError(failure) && codes.includes(failure.code));
    if (unknown === undefined) throw failure;
    const subject = { action: unknown.to, resource: this.#gatehouse };
    const askedFor = ASKED_FOR.get(base.context.method.path);
    const isAboutDevice = unknown.isDevice;
    const call = new GrantedCall({ ...base, subject, askedFor, isAboutDevice, isItself: false });
    if (call.isAllowed) throw failure;
    return call;
  }

  /** A stream of answers that ends when `failureNow`, asked after each change of a right, says why it must. */
  supervised<Item>(
    context: CallContext<Peer>,
    items: AsyncIterable<Item>,
    failureNow: () => GatehouseError | undefined,
  ): AsyncIterable<Item> {
    const { deviceId } = context.peer;
    const checks = this.#streams.get(deviceId) ?? new Set();
    this.#streams.set(deviceId, checks);
    const verdict = new Promise<never>((_resolve, reject) => {
      const check = (): void => {
        const failure = failureNow();
        if (failure !== undefined) reject(failure);
      };
      checks.add(check);
      // The right may have gone while the call was recorded and begun, when nobody could tell it yet.
      check();
      context.onEnd(() => {
        checks.delete(check);
        if (checks.size === 0 && this.#streams.get(deviceId) === checks) this.#streams.delete(deviceId);
      });
    });
    verdict.catch(() => undefined);
    return supervised(items, verdict);
  }

  async #recorded<Answer>(
    call: GrantedCall,
    context: CallContext<Peer>,
    next: () => Awaitable<Answer>,
  ): Promise<Answer> {
    const { audit } = this.#options;
    const { path } = context.method;
    // One that is about nothing has no handler that could decide: it would be asked for what is not there.
    if (!call.isAllowed && !(SELF_DECIDED.has(path) && call.isItself)) {
      throw await call.deny();
    }
    if (SELF_RECORDED.has(path)) return await next();
    if (context.method.kind === "server") {
      await audit.append(call.fields("allowed"));
      const answer = await next();
      // What it decides for itself it decides again by itself.
      if (!isAsyncIterable(answer) || !call.isAllowed) return answer;
      return this.supervised(context, answer, () => call.failureNow()) as Answer;
    }
    try {
      const answer = await next();
      if (!call.isRecorded) await audit.append(call.fields("allowed"));
      return answer;
    } catch (failure) {
      if (call.isDenied) throw failure;
      const code = isGatehouseError(failure) ? failure.code : "rpc.internal";
      if (code === "authz.denied") this.#options.rates.denial(context.peer.deviceId);
      await audit.append(call.fields(code === "authz.denied" ? "denied" : "failed", code));
      throw failure;
    }
  }
}

function renewalOnly(): GatehouseError {
  return new GatehouseError(
    "device.renewal-only",
    "this device's certificate has run out: it may renew it, no more",
    {
      hint: "renew it with: gatehouse device renew",
    },
  );
}
