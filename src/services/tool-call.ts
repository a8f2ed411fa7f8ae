/**
 * One call of a tool: cleared by policies, and by somebody's yes where one is needed; written down; run; written down again.
 *
 * Whether a yes is needed follows from policies: a call that is denied without and allowed with the yes of some device that
 * may decide needs one. So does every call of a tool that is declared so.
 */
import type { Approval as ApprovalFact, Decision } from "../authz/index.ts";
import { Bell, GatehouseError, hex, invariant, isGatehouseError } from "../core/index.ts";
import { type gatehouse, METHODS } from "../gen/index.ts";
import type { CallContext } from "../rpc/index.ts";
import {
  type Approval,
  type ApprovalUse,
  type BoundCall,
  bindCall,
  noSuchApproval,
  type ToolEvent,
  useApproval,
} from "../tools/index.ts";
import { AlreadyAnswered, parseSecretPath } from "../vault/index.ts";
import { approvalRecord } from "./approvals.ts";
import { type ApprovalCaller, Approvers } from "./approvers.ts";
import type { Granted } from "./guard.ts";
import { requestHashOf } from "./mutate.ts";
import type { Peer } from "./peer.ts";
import type { Circumstances, Subject } from "./subject.ts";
import { type ToolServiceParts, toolIn } from "./tool-parts.ts";

export interface ToolCallParts extends ToolServiceParts {
  readonly request: Pick<
    gatehouse.v1.ToolsRunRequest,
    "name" | "arguments" | "approval" | "waitMs" | "reason"
  >;
  readonly context: CallContext<Peer>;
  readonly granted: Granted;
}

/** What lets the call go on. */
interface Clearance {
  readonly approval?: Approval;
  readonly circumstances?: Circumstances;
}

const CALL_ID_BYTES = 16;

export class ToolCall {
  readonly #parts: ToolCallParts;
  readonly #approvers: Approvers;
  readonly #id: string;
  #clearance: Clearance | undefined;
  /** The question that is waited for. */
  #asked: Approval | undefined;
  #isRecorded = false;
  #bound: BoundCall | undefined;

  constructor(parts: ToolCallParts) {
    this.#parts = parts;
    this.#approvers = new Approvers(parts);
    this.#id = hex(parts.random.bytes(CALL_ID_BYTES));
  }

  /** Why the call must end, by what is on record now. */
  failureNow(): GatehouseError | undefined {
    const { granted, context, policySet } = this.#parts;
    if (this.#clearance !== undefined) {
      const { circumstances } = this.#clearance;
      return granted.failureNow(circumstances) ?? this.#secretFailure(circumstances);
    }
    if (context.peer.facts() === undefined)
      return new GatehouseError("device.revoked", "this device is not welcome any more");
    return this.#asked === undefined || this.#asked.policyVersion === policySet() ? undefined : stale();
  }

  async *events(): AsyncGenerator<gatehouse.v1.ToolsRunEvent.$Properties> {
    try {
      this.#bound = await this.#bind();
      this.#refuseRepeated();
      const clearance = yield* this.#clear();
      this.#clearance = clearance;
      yield* this.#run(clearance);
    } catch (failure) {
      if (!this.#isRecorded) await this.#recordFailure(failure);
      throw failure;
    }
  }

  /** What is wrong with arguments is told to who may list the tool, or run it with others. */
  async #bind(): Promise<BoundCall> {
    const { granted, request, shop } = this.#parts;
    const tool = toolIn(shop, request.name);
    try {
      return bindCall(tool, request.arguments);
    } catch (failure) {
      if (!isGatehouseError(failure, "tool.bad-argument")) throw failure;
      const { name, groups } = tool;
      const plain = granted.decide();
      if (plain.kind === "allow" || granted.may("tool:list", { kind: "tool", name, groups })) throw failure;
      return await this.#deny(plain);
    }
  }

  /** Bound, before anything is asked of it. */
  get #call(): BoundCall {
    invariant(this.#bound !== undefined, "the call is bound");
    return this.#bound;
  }

  /** A repeated request must not ask, or run, anew. @throws rpc.outcome-unknown */
  #refuseRepeated(): void {
    const replay = this.#replay();
    if (replay === undefined) return;
    try {
      this.#parts.approvals.checkNew(replay);
    } catch (outcome) {
      throw outcome instanceof AlreadyAnswered ? outcomeUnknown() : outcome;
    }
  }

  async *#clear(): AsyncGenerator<gatehouse.v1.ToolsRunEvent.$Properties, Clearance> {
    const { approvals, granted, request } = this.#parts;
    if (request.approval !== "") return this.#clearedBy(this.#ownApproval(request.approval));
    const plain = granted.decide();
    if (plain.kind === "allow" && !this.#call.tool.needsApproval) return {};
    const known = approvals.openFor(this.#use());
    if (known?.state === "approved") return this.#clearedBy(known);
    if (known === undefined && !(await this.#canBeApproved())) {
      return await this.#deny(plain.kind === "allow" ? nobodyCan(plain) : plain);
    }
    const asked = await this.#ask();
    yield { waiting: approvalRecord(asked, this.#parts.names) };
    return this.#clearedBy(await this.#answer(asked));
  }

  /** Others' are as if they were not there. */
  #ownApproval(text: string): Approval {
    const found = this.#parts.approvals.find(text);
    if (found.requestedBy === this.#parts.context.peer.deviceId) return found;
    throw noSuchApproval();
  }

  #canBeApproved(): Promise<boolean> {
    const { granted, context } = this.#parts;
    const isAllowedBy = (decidedBy: ApprovalFact["decidedBy"]): boolean =>
      granted.decide({ approval: { id: this.#id, decidedBy } }).kind === "allow";
    return this.#approvers.hasOne({ ...this.#caller, isAllowedBy, signal: context.signal });
  }

  get #caller(): ApprovalCaller {
    const { deviceId, facts } = this.#parts.context.peer;
    const { name, groups } = this.#call.tool;
    return { deviceId, user: facts()?.user?.id, tool: { name, groups } };
  }

  async #ask(): Promise<Approval> {
    const { approvals, granted, request } = this.#parts;
    const question = { ...this.#use(), arguments: this.#call.arguments, purpose: request.reason };
    const asked = await approvals.request(question, {
      audit: (approval) =>
        granted.plainEvent("denied", { code: "approval.required", detail: this.#detail({ approval }) }),
    });
    this.#asked = asked;
    return asked;
  }

  /** The question once it is answered. @throws approval.required when the time to wait for it is over */
  async #answer({ id }: Approval): Promise<Approval> {
    const { approvals, context, request, clock } = this.#parts;
    const bell = new Bell();
    using _subscription = approvals.onChange(() => bell.ring());
    context.onEnd(() => bell.ring());
    let isTimeUp = request.waitMs === 0;
    using _timer = clock.setTimer(request.waitMs, () => {
      isTimeUp = true;
      bell.ring();
    });
    for (;;) {
      const approval = approvals.find(id);
      if (approval.state !== "pending" || isTimeUp) return approval;
      await bell.rung();
      context.signal.throwIfAborted();
    }
  }

  /** @throws approval.* for what is no yes to this call, or not any more */
  #clearedBy(approval: Approval): Clearance {
    useApproval(approval, this.#use());
    return { approval, circumstances: { approval: this.#approvers.factOf(approval, this.#caller) } };
  }

  async *#run(clearance: Clearance): AsyncGenerator<gatehouse.v1.ToolsRunEvent.$Properties> {
    const { shop, context } = this.#parts;
    const secrets = await this.#takeSecrets(clearance);
    const wipe = (): void => {
      for (const value of Object.values(secrets)) value.fill(0);
    };
    let ending: ToolEvent | undefined;
    let hasStarted = false;
    try {
      const events = shop.run(this.#call, {
        ...{ secrets, signal: context.signal, deadlineMs: context.deadlineMs, callId: this.#id },
        commit: async () => {
          await this.#begin(clearance);
          hasStarted = true;
        },
      });
      for await (const event of events) {
        wipe();
        if (event.kind === "ended") ending = event;
        else yield this.#message(event);
      }
    } finally {
      wipe();
      if (hasStarted) await this.#recordEnd(ending);
    }
    if (!hasStarted) throw over(ending);
    if (ending !== undefined) yield this.#message(ending);
  }

  /** Each use is decided, and written down. @throws authz.denied, tool.not-startable */
  async #takeSecrets({ circumstances }: Clearance): Promise<Readonly<Record<string, Uint8Array>>> {
    const { granted } = this.#parts;
    const taken: Record<string, Uint8Array> = {};
    try {
      for (const [variable, path] of Object.entries(this.#call.tool.secrets)) {
        const subject = useOf(path);
        const decision = granted.decideOn(subject, circumstances);
        if (decision.kind !== "allow") return await this.#deny(decision, subject);
        await granted.record("allowed", { subject, policies: decision.policies, detail: { call: this.#id } });
        taken[variable] = await this.#secret(path);
      }
      return taken;
    } catch (failure) {
      for (const value of Object.values(taken)) value.fill(0);
      throw failure;
    }
  }

  /** Which one is missing is told to the gatehouse's owner, not to the caller. */
  async #secret(path: string): Promise<Uint8Array> {
    try {
      return (await this.#parts.secrets.get(parseSecretPath(path))).value;
    } catch (failure) {
      if (!isGatehouseError(failure, "vault.not-found")) throw failure;
      const { name } = this.#call.tool;
      throw new GatehouseError(
        "tool.not-startable",
        `tool ${name} cannot be started: a secret of it is missing`,
        {
          hint: "ask the gatehouse's owner to put it where the tool's declaration says",
        },
      );
    }
  }

  /** The yes is used up, the start written down and the request remembered in one step, or the tool does not start. */
  async #begin({ approval }: Clearance): Promise<void> {
    const { approvals, granted } = this.#parts;
    const replay = this.#replay();
    try {
      await approvals.begin(approval === undefined ? undefined : { id: approval.id, ...this.#use() }, {
        audit: () => {
          // Whoever approved it may have lost the right while the call took its secrets.
          if (approval !== undefined) this.#clearance = this.#clearedBy(approval);
          const failure = this.failureNow();
          if (failure !== undefined) throw failure;
          const circumstances = this.#clearance?.circumstances;
          return granted.event(this.#detail({ approval }), { circumstances, outcome: "allowed" });
        },
        ...(replay === undefined ? {} : { replay: { ...replay, reply: () => new Uint8Array() } }),
      });
    } catch (outcome) {
      throw outcome instanceof AlreadyAnswered ? outcomeUnknown() : outcome;
    }
    this.#isRecorded = true;
    // Without one it was noted when the call came.
    if (approval !== undefined) granted.note(this.#clearance?.circumstances);
  }

  async #recordEnd(ending: ToolEvent | undefined): Promise<void> {
    const ended = ending?.kind === "ended" ? ending : undefined;
    await this.#parts.granted.record("done", {
      detail: {
        ...{ call: this.#id, ended: ended?.reason ?? "cancelled" },
        ...(ended?.exitCode === undefined ? {} : { exit: String(ended.exitCode) }),
        ...(ended?.signal === undefined ? {} : { signal: ended.signal }),
        ...(ended === undefined ? {} : { durationMs: String(ended.durationMs) }),
      },
    });
  }

  async #recordFailure(failure: unknown): Promise<void> {
    const { granted } = this.#parts;
    if (isGatehouseError(failure, "rpc.rate-limited")) return;
    const code = isGatehouseError(failure) ? failure.code : "rpc.internal";
    const asked = this.#asked ?? this.#clearance?.approval;
    const detail = this.#bound === undefined ? {} : this.#detail({ approval: asked });
    await granted.record(code === "authz.denied" ? "denied" : "failed", { code, detail });
  }

  async #deny(decision: Decision, subject?: Subject): Promise<never> {
    const failure = await this.#parts.granted.deny(decision, subject);
    this.#isRecorded = true;
    throw failure;
  }

  #message(event: ToolEvent): gatehouse.v1.ToolsRunEvent.$Properties {
    switch (event.kind) {
      case "started":
        return { started: { callId: this.#id } };
      case "output":
        return { output: { isStderr: event.stream === "stderr", bytes: event.bytes } };
      case "ended": {
        const { reason, exitCode = 0, signal = "", durationMs, truncated } = event;
        return { ended: { reason, exitCode, signal, durationMs, isTruncated: truncated } };
      }
    }
  }

  #detail({ approval }: { readonly approval: Approval | undefined }): Readonly<Record<string, string>> {
    return {
      ...{ call: this.#id, arguments: this.#parts.auditHash(this.#call.hash) },
      ...(approval === undefined ? {} : { approval: approval.id }),
    };
  }

  #use(): ApprovalUse {
    const { context, policySet, clock } = this.#parts;
    return {
      ...{ tool: this.#call.tool.name, argumentsHash: this.#call.hash, policyVersion: policySet() },
      ...{ requestedBy: context.peer.deviceId, at: clock.now() },
    };
  }

  #replay() {
    const { context, request } = this.#parts;
    const { requestId, peer } = context;
    if (requestId === undefined) return undefined;
    const requestHash = requestHashOf(METHODS.Tools.Run, request);
    return { principal: peer.deviceId, requestId, requestHash };
  }

  #secretFailure(circumstances: Circumstances | undefined): GatehouseError | undefined {
    const { granted } = this.#parts;
    for (const path of Object.values(this.#call.tool.secrets)) {
      const decision = granted.decideOn(useOf(path), circumstances);
      if (decision.kind !== "allow") return granted.denial(decision);
    }
    return undefined;
  }
}

function useOf(path: string): Subject {
  return { action: "secret:use", resource: { kind: "secret", path: parseSecretPath(path) } };
}

function nobodyCan(decision: Decision): Decision {
  return {
    ...{ ...decision, kind: "deny", policies: [] },
    reason: "the tool needs somebody's yes, and no policy lets another device give it",
  };
}

/** What became of a call before its tool began. */
function over(ending: ToolEvent | undefined): GatehouseError {
  return ending?.kind === "ended" && ending.reason === "timeout"
    ? new GatehouseError("rpc.deadline", "the call's time was up before the tool began")
    : new GatehouseError("rpc.cancelled", "the call was over before the tool began");
}

function stale(): GatehouseError<"approval.stale"> {
  return new GatehouseError("approval.stale", "policies changed since the approval was asked for", {
    hint: "ask again",
  });
}

function outcomeUnknown(): GatehouseError<"rpc.outcome-unknown"> {
  return new GatehouseError(
    "rpc.outcome-unknown",
    "this call was begun before; what it printed is not kept",
    {
      hint: "look at what the tool did before running it again",
    },
  );
}
