/** One call that is judged: what it asks for, what policies say, and the records it leaves. */
import type { AuditFields, AuditOutcome } from "../audit/index.ts";
import type { Action, AuthorizationRequest, Decision, Resource } from "../authz/index.ts";
import { type Clock, type ErrorCode, GatehouseError } from "../core/index.ts";
import { parseDeviceId } from "../identity/index.ts";
import type { CallContext } from "../rpc/index.ts";
import type { Peer } from "./peer.ts";
import type { Rates } from "./rates.ts";
import { resourceName } from "./resource-name.ts";
import type { Circumstances, Subject, SubjectContext } from "./subject.ts";

export interface DecisionMaker {
  decide(request: AuthorizationRequest): Decision;
}

export interface AuditTrail {
  append(fields: AuditFields): Promise<void>;
  encodeEvent(fields: AuditFields): Uint8Array;
  count(action: string): void;
}

/** Remembers what was asked lately, for whoever changes policies. */
export interface RequestNotes {
  note(request: AuthorizationRequest, decision: Decision): void;
}

export interface GuardOptions {
  readonly authorizer: DecisionMaker;
  readonly audit: AuditTrail;
  readonly requests?: RequestNotes | undefined;
  readonly subjects: Omit<SubjectContext, "callerId">;
  readonly rates: Rates;
  readonly clock: Clock;
}

export type CallerFacts = NonNullable<ReturnType<Peer["facts"]>>;

/** A call that was let through, with what its records need. */
export interface Granted {
  readonly subject: Subject;
  /** Decides a further action of the same caller; recorded with the call's own outcome, not by itself. */
  may(action: Action, resource: Resource): boolean;
  /** As `may`, with its reasons, in the call's circumstances and these. */
  decideOn(subject: Subject, circumstances?: Circumstances): Decision;
  /** Decides the call itself again, in these circumstances. */
  decide(circumstances?: Circumstances): Decision;
  /** Remembers the call's own question for who changes policies later. */
  note(circumstances?: Circumstances): void;
  /**
   * The encoded event of a change that is about to be made, with nothing in between. The change then is the call's one record.
   * @throws GatehouseError `device.revoked`, `authz.denied` when the caller's right has gone since the call was judged.
   */
  event(detail?: AuditDetail, how?: EventOptions): Uint8Array;
  /** The encoded event of what no policy was asked for. */
  plainEvent(outcome: AuditOutcome, more?: RecordMore): Uint8Array;
  /** Judges the call again, by what is on record now; answers why it must end, if it must. */
  failureNow(circumstances?: Circumstances): GatehouseError | undefined;
  /** Writes down what came of the call, or of a part of it, by itself. @throws GatehouseError `audit.unavailable` */
  record(outcome: AuditOutcome, more?: RecordMore): Promise<void>;
  /** The failure to throw for a denial, which the guard writes down then. */
  denial(decision?: Decision): GatehouseError<"authz.denied">;
  /** Writes down that the call, or a part of it, is denied; answers the failure to throw. */
  deny(decision?: Decision, subject?: Subject): Promise<GatehouseError>;
}

export type AuditDetail = Readonly<Record<string, string>>;

export interface EventOptions {
  readonly circumstances?: Circumstances | undefined;
  /** Default `done`. */
  readonly outcome?: AuditOutcome;
}

export interface RecordMore {
  readonly code?: ErrorCode | undefined;
  readonly detail?: AuditDetail | undefined;
  readonly subject?: Subject | undefined;
  readonly policies?: readonly string[] | undefined;
}

export interface GrantedCallParts {
  readonly context: CallContext<Peer>;
  readonly facts: CallerFacts;
  readonly subject: Subject;
  /** One device, known or not: its denial must not tell which. */
  readonly isAboutDevice: boolean;
  /** What a denial says instead of the subject's action, so that it does not tell what exists. */
  readonly askedFor?: Action | undefined;
  /** False for a call about what does not exist: it is judged by whether its caller may know that. */
  readonly isItself: boolean;
  readonly options: GuardOptions;
}

export class GrantedCall implements Granted {
  readonly subject: Subject;
  readonly #parts: GrantedCallParts;
  readonly #decision: Decision;
  #isRecorded = false;
  #isDenied = false;

  constructor(parts: GrantedCallParts) {
    this.#parts = parts;
    this.subject = parts.subject;
    this.#decision = this.decide();
  }

  get isAllowed(): boolean {
    return this.#decision.kind === "allow";
  }

  get isItself(): boolean {
    return this.#parts.isItself;
  }

  /** A change has taken the call's record with it, or its handler has written it. */
  get isRecorded(): boolean {
    return this.#isRecorded;
  }

  /** It was denied, and that is written down. */
  get isDenied(): boolean {
    return this.#isDenied;
  }

  may(action: Action, resource: Resource): boolean {
    return this.#ask({ action, resource }).kind === "allow";
  }

  decideOn(subject: Subject, circumstances?: Circumstances): Decision {
    return this.#ask({
      ...subject,
      circumstances: { ...this.subject.circumstances, ...subject.circumstances, ...circumstances },
    });
  }

  decide(circumstances?: Circumstances): Decision {
    return this.#ask(this.#in(circumstances));
  }

  event(detail?: AuditDetail, { circumstances, outcome = "done" }: EventOptions = {}): Uint8Array {
    const now = this.#judgeAgain(circumstances);
    if (now instanceof GatehouseError) throw now;
    this.#isRecorded = true;
    return this.plainEvent(outcome, { detail, policies: now.policies });
  }

  plainEvent(outcome: AuditOutcome, more: RecordMore = {}): Uint8Array {
    return this.#parts.options.audit.encodeEvent(this.#fieldsOf(outcome, more));
  }

  async record(outcome: AuditOutcome, more: RecordMore = {}): Promise<void> {
    await this.#parts.options.audit.append(this.#fieldsOf(outcome, more));
    if (more.subject === undefined) this.#isRecorded = true;
  }

  async deny(decision = this.#decision, subject?: Subject): Promise<GatehouseError> {
    const { context, options } = this.#parts;
    options.rates.denial(context.peer.deviceId);
    this.#isDenied = true;
    await this.record("denied", { code: "authz.denied", policies: decision.policies, subject });
    return this.denial(decision);
  }

  failureNow(circumstances?: Circumstances): GatehouseError | undefined {
    const now = this.#judgeAgain(circumstances);
    return now instanceof GatehouseError ? now : undefined;
  }

  denial(decision = this.#decision): GatehouseError<"authz.denied"> {
    const { isAboutDevice, askedFor } = this.#parts;
    const plain = askedFor === undefined ? decision.reason : `no policy permits ${askedFor} here`;
    const reason = isAboutDevice ? "no policy permits this for such a device" : plain;
    return new GatehouseError("authz.denied", reason, {
      hint: "ask the gatehouse's owner for a role or policy that permits it",
    });
  }

  fields(outcome: AuditOutcome, code?: ErrorCode, subject = this.subject): AuditFields {
    const { context, facts } = this.#parts;
    return {
      principal: context.peer.deviceId,
      principalRole: facts.roles.join(" "),
      action: subject.action,
      resource: resourceName(subject.resource),
      outcome,
      code,
      policies: this.#decision.policies,
      requestId: context.requestId,
      wire: context.peer.wire,
      remoteAddress: context.peer.remoteAddress(),
    };
  }

  note(circumstances?: Circumstances): void {
    const { context, facts, options } = this.#parts;
    const request = requestOf(options, context, facts, this.#in(circumstances));
    options.requests?.note(
      request,
      circumstances === undefined ? this.#decision : options.authorizer.decide(request),
    );
  }

  #fieldsOf(outcome: AuditOutcome, { code, detail, subject, policies }: RecordMore): AuditFields {
    return {
      ...this.fields(outcome, code, subject),
      ...(policies === undefined ? {} : { policies }),
      detail,
    };
  }

  #judgeAgain(circumstances: Circumstances | undefined): Decision | GatehouseError {
    const { context, options } = this.#parts;
    const facts = context.peer.facts();
    if (facts === undefined)
      return new GatehouseError("device.revoked", "this device is not welcome any more");
    const decision = options.authorizer.decide(requestOf(options, context, facts, this.#in(circumstances)));
    return decision.kind === "allow" ? decision : this.denial(decision);
  }

  /** By what its caller is now: a stream outlives roles. Of one that is revoked, whoever streams hears by `failureNow`. */
  #ask(subject: Subject): Decision {
    const { context, facts, options } = this.#parts;
    const now = context.peer.facts() ?? { ...facts, roles: [], user: undefined };
    return options.authorizer.decide(requestOf(options, context, now, subject));
  }

  #in(circumstances: Circumstances | undefined): Subject {
    const { subject } = this;
    return circumstances === undefined
      ? subject
      : { ...subject, circumstances: { ...subject.circumstances, ...circumstances } };
  }
}

export function requestOf(
  { clock }: Pick<GuardOptions, "clock">,
  { peer, isEarlyData }: Pick<CallContext<Peer>, "peer" | "isEarlyData">,
  facts: CallerFacts,
  { action, resource, circumstances }: Subject,
): AuthorizationRequest {
  const { deviceId, wire } = peer;
  return {
    principal: { deviceId, ...facts },
    action,
    resource,
    context: {
      wire,
      timeMs: clock.now(),
      isEarlyData,
      remoteAddress: peer.remoteAddress(),
      ...circumstances,
    },
  };
}

/** A device as policies see one that is not calling. */
export function absentRequest(
  { clock }: Pick<GuardOptions, "clock">,
  { id, ...facts }: CallerFacts & { readonly id: string },
  { action, resource, circumstances }: Subject,
): AuthorizationRequest {
  return {
    principal: { deviceId: parseDeviceId(id), ...facts },
    action,
    resource,
    context: { wire: "quic", timeMs: clock.now(), isEarlyData: false, ...circumstances },
  };
}
