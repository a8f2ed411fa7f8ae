/**
 * What stands around every call: authenticate → limits → authorize → handler → audit. A denial is recorded before it is
 * answered, a read before its answer leaves; a change carries its record into its own journal entry (`Granted.mutation`).
 */
import type { AuditFields, AuditOutcome } from "../audit/index.ts";
import type { Action, AuthorizationRequest, Decision, Resource } from "../authz/index.ts";
import { type Clock, type ErrorCode, GatehouseError, isGatehouseError, LIMITS } from "../core/index.ts";
import { parseDeviceId } from "../identity/index.ts";
import type { Awaitable, CallContext, Interceptor } from "../rpc/index.ts";
import type { Peer } from "./peer.ts";
import { resourceName, SUBJECT_BY_PATH, type Subject, type SubjectContext } from "./subject.ts";
import { isAsyncIterable, supervised } from "./supervised-stream.ts";

export interface DecisionMaker {
  decide(request: AuthorizationRequest): Decision;
}

export interface AuditTrail {
  append(fields: AuditFields): Promise<void>;
  encodeEvent(fields: AuditFields): Uint8Array;
  count(action: string): void;
}

export interface GuardOptions {
  readonly authorizer: DecisionMaker;
  readonly audit: AuditTrail;
  readonly subjects: Omit<SubjectContext, "callerId">;
  readonly clock: Clock;
}

type CallerFacts = NonNullable<ReturnType<Peer["facts"]>>;

/** A call that was let through, with what its records need. */
export interface Granted {
  readonly subject: Subject;
  /** Decides a further action of the same caller; recorded with the call's own outcome, not by itself. */
  may(action: Action, resource: Resource): boolean;
  /**
   * The encoded event of a change that is about to be made, with nothing in between. The change then is the call's one record.
   * @throws GatehouseError `device.revoked`, `authz.denied` when the caller's right has gone since the call was judged.
   */
  event(detail?: Readonly<Record<string, string>>): Uint8Array;
}

/** Calls that are counted in the log, not listed: they change and show nothing. */
const COUNTED: ReadonlyMap<string, Action> = new Map([["/gatehouse.v1.Health/Ping", "gatehouse:ping"]]);
/** Calls that decide for themselves, folder by folder. */
const SELF_DECIDED: ReadonlySet<string> = new Set(["/gatehouse.v1.Vault/List"]);

/** Whose request is about nobody; only who may list devices hears so. */
const UNKNOWN_DEVICE = ["device.not-found", "device.ambiguous", "pairing.not-waiting"] as const;
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
  wouldAllow({ id, name, roles }: DeviceSubject, action: Action, resource: Resource): boolean {
    const { authorizer, clock } = this.#options;
    const principal = { deviceId: parseDeviceId(id), name, roles };
    const context = { wire: "quic", timeMs: clock.now(), isEarlyData: false } as const;
    return authorizer.decide({ principal, action, resource, context }).kind === "allow";
  }

  /** Something about a device has changed: calls of its that stream answers are judged anew. */
  recheck(deviceId: string): void {
    for (const check of this.#streams.get(deviceId) ?? []) check();
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
    const call = this.#judge(context, request);
    this.#granted.set(context, call);
    return this.#recorded(call, context, next);
  }

  /** Decides a call that is counted in the log, not listed, without what a record would need: pings are many. */
  #isCounted(context: CallContext<Peer>): boolean {
    const action = COUNTED.get(context.method.path);
    const facts = action === undefined ? undefined : context.peer.facts();
    if (action === undefined || facts === undefined || context.peer.access !== "full") return false;
    const decision = decide(this.#options, context, facts, { action, resource: this.#gatehouse });
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
      return new GrantedCall({ ...base, subject, isAboutDevice: subject.resource.kind === "device" });
    } catch (failure) {
      if (!UNKNOWN_DEVICE.some((code) => isGatehouseError(failure, code))) throw failure;
      return this.#withoutDevice(base, failure);
    }
  }

  /** Whether a device exists is told only to those who may list them; to others it is a denial in the same words. */
  #withoutDevice(base: Omit<GrantedCallParts, "subject" | "isAboutDevice">, failure: unknown): GrantedCall {
    const resource = this.#gatehouse;
    const call = new GrantedCall({
      ...base,
      subject: { action: "device:list", resource },
      isAboutDevice: true,
    });
    if (call.isAllowed) throw failure;
    return call;
  }

  /** Ends a stream of answers when its caller may not have it any more. */
  #supervised<Answer>(call: GrantedCall, context: CallContext<Peer>, answer: Answer): Answer {
    if (!isAsyncIterable(answer)) return answer;
    const { deviceId } = context.peer;
    const checks = this.#streams.get(deviceId) ?? new Set();
    this.#streams.set(deviceId, checks);
    const verdict = new Promise<never>((_resolve, reject) => {
      const check = (): void => {
        const failure = call.failureNow();
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
    return supervised(answer, verdict) as Answer;
  }

  async #recorded<Answer>(
    call: GrantedCall,
    context: CallContext<Peer>,
    next: () => Awaitable<Answer>,
  ): Promise<Answer> {
    const { audit } = this.#options;
    if (!call.isAllowed && !SELF_DECIDED.has(context.method.path)) {
      await audit.append(call.fields("denied", "authz.denied"));
      throw call.denial();
    }
    if (context.method.kind === "server") {
      await audit.append(call.fields("allowed"));
      return this.#supervised(call, context, await next());
    }
    try {
      const answer = await next();
      if (!call.isRecorded) await audit.append(call.fields("allowed"));
      return answer;
    } catch (failure) {
      const code = isGatehouseError(failure) ? failure.code : "rpc.internal";
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

interface DeviceSubject extends CallerFacts {
  readonly id: string;
}

interface GrantedCallParts {
  readonly context: CallContext<Peer>;
  readonly facts: CallerFacts;
  readonly subject: Subject;
  /** One device, known or not: its denial must not tell which. */
  readonly isAboutDevice: boolean;
  readonly options: GuardOptions;
}

class GrantedCall implements Granted {
  readonly subject: Subject;
  readonly #parts: GrantedCallParts;
  readonly #decision: Decision;
  #isRecorded = false;

  constructor(parts: GrantedCallParts) {
    this.#parts = parts;
    this.subject = parts.subject;
    this.#decision = this.#decide(parts.subject);
  }

  get isAllowed(): boolean {
    return this.#decision.kind === "allow";
  }

  /** A change has taken the call's record with it. */
  get isRecorded(): boolean {
    return this.#isRecorded;
  }

  may(action: Action, resource: Resource): boolean {
    return this.#decide({ action, resource }).kind === "allow";
  }

  event(detail?: Readonly<Record<string, string>>): Uint8Array {
    const failure = this.failureNow();
    if (failure !== undefined) throw failure;
    this.#isRecorded = true;
    return this.#parts.options.audit.encodeEvent({ ...this.fields("done"), detail });
  }

  /** Judges the call again, by what is on record now; answers why it must end, if it must. */
  failureNow(): GatehouseError | undefined {
    const { context, options } = this.#parts;
    const facts = context.peer.facts();
    if (facts === undefined)
      return new GatehouseError("device.revoked", "this device is not welcome any more");
    const decision = decide(options, context, facts, this.subject);
    return decision.kind === "allow" ? undefined : this.denial(decision);
  }

  denial(decision = this.#decision): GatehouseError<"authz.denied"> {
    const reason = this.#parts.isAboutDevice ? "no policy permits this for such a device" : decision.reason;
    return new GatehouseError("authz.denied", reason, {
      hint: "ask the gatehouse's owner for a role or policy that permits it",
    });
  }

  fields(outcome: AuditOutcome, code?: ErrorCode): AuditFields {
    const { context, facts } = this.#parts;
    return {
      principal: context.peer.deviceId,
      principalRole: facts.roles.join(" "),
      action: this.subject.action,
      resource: resourceName(this.subject.resource),
      outcome,
      code,
      policies: this.#decision.policies,
      requestId: context.requestId,
      wire: context.peer.wire,
      remoteAddress: context.peer.remoteAddress(),
    };
  }

  #decide(subject: Subject): Decision {
    const { context, facts, options } = this.#parts;
    return decide(options, context, facts, subject);
  }
}

function decide(
  { authorizer, clock }: GuardOptions,
  { peer, isEarlyData }: CallContext<Peer>,
  { name, roles }: CallerFacts,
  { action, resource }: Subject,
): Decision {
  const { deviceId, wire } = peer;
  return authorizer.decide({
    principal: { deviceId, name, roles },
    action,
    resource,
    context: { wire, timeMs: clock.now(), isEarlyData, remoteAddress: peer.remoteAddress() },
  });
}

/** A device's calls in flight. */
interface Load {
  calls: number;
}

/**
 * Runs `next` on a place of `load`. The call holds it until it has ended and its handler too: a short deadline must not
 * buy work without end. What is answered at once gives it back at once.
 */
function occupy<Answer>(
  load: Load,
  context: CallContext<Peer>,
  next: () => Awaitable<Answer>,
): Awaitable<Answer> {
  let answer: Awaitable<Answer>;
  try {
    answer = next();
  } catch (failure) {
    load.calls -= 1;
    throw failure;
  }
  if (!(answer instanceof Promise) && context.method.kind === "unary") {
    load.calls -= 1;
    return answer;
  }
  let unfinished = 2;
  const finish = (): void => {
    unfinished -= 1;
    if (unfinished === 0) load.calls -= 1;
  };
  context.onEnd(finish);
  if (answer instanceof Promise) answer.then(finish, finish);
  else finish();
  return answer;
}
