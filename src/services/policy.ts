import type {
  AuthorizationRequest,
  DecidingPolicy,
  Explanation,
  NearPermit,
  PolicyAuthor,
  PolicyChange,
  PolicyFacts,
  PolicyFinding,
  PolicyHistoryEntry,
  PolicySetFacts,
  PolicySource,
  PolicySourceFacts,
  ShadowReport,
} from "../authz/index.ts";
import { type Clock, GatehouseError, hex, utf8 } from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import { type gatehouse, METHODS, type MethodDefinition } from "../gen/index.ts";
import type { DeviceId } from "../identity/index.ts";
import type { CallContext, Router } from "../rpc/index.ts";
import type { Mutation } from "../vault/index.ts";
import type { DeviceNames } from "./approvals.ts";
import type { Guard } from "./guard.ts";
import { mutate } from "./mutate.ts";
import type { Peer } from "./peer.ts";
import type { PolicyQuestions } from "./policy-questions.ts";
import { resourceName } from "./resource-name.ts";

/** A change of policies that somebody wants. */
export type PolicyWish = (
  | { readonly kind: "put"; readonly source: PolicySource }
  | { readonly kind: "remove"; readonly id: string }
  | { readonly kind: "rollback"; readonly set: number }
) & {
  /** Also when nobody could change policies any more. */
  readonly mayLockOut: boolean;
  /** Only while this set is in force. */
  readonly ifSet?: number | undefined;
};

/** The policies of a gatehouse. */
export interface PolicyDesk {
  /** Without a number: in force. @throws policy.not-found */
  set(number?: number): PolicySetFacts;
  /** @throws policy.not-found */
  source(id: string): PolicySourceFacts;
  /** In force, each by itself. */
  policies(): readonly PolicyFacts[];
  /** Newest first. */
  history(limit: number): readonly PolicyHistoryEntry[];
  /** In force when it settles. @throws authz.invalid-policy, policy.*, usage.bad-argument */
  change(wish: PolicyWish, author: PolicyAuthor, mutation: Mutation<PolicyChange>): Promise<PolicyChange>;
  /** Never throws. */
  explain(request: AuthorizationRequest): Explanation;
  check(signal: AbortSignal): Promise<{ readonly findings: readonly PolicyFinding[] } & Recorded>;
  /** @throws authz.invalid-policy, policy.* */
  shadow(wish: PolicyWish, author: PolicyAuthor, signal: AbortSignal): Promise<ShadowReport & Recorded>;
}

/** What requests were looked at. */
export interface Recorded {
  /** Distinct ones. */
  readonly recorded: number;
  /** Unix ms; 0 when there are none. */
  readonly recordedSince: number;
}

export interface PolicyServiceParts {
  readonly guard: Guard;
  readonly gatehouseId: DeviceId;
  readonly policies: PolicyDesk;
  readonly questions: PolicyQuestions;
  readonly names: DeviceNames;
  readonly clock: Clock;
}

const HISTORY_SIZE = 20;
const HISTORY_SIZE_MAX = 100;
const SHADOW_ROWS_MAX = 500;

export function policyService(
  router: Router<Peer>,
  { guard, gatehouseId, policies, questions, names, clock }: PolicyServiceParts,
): void {
  const authorOf = ({ peer }: CallContext<Peer>, { ifSet }: PolicyWish): PolicyAuthor => ({
    ...{ at: clock.now(), by: peer.deviceId, ifSet },
  });
  const nameOf = (id: string): string => names.get(id)?.name ?? "";
  const message = (source: PolicySourceFacts) => ({
    ...sourceMessage(source),
    changedByName: nameOf(source.by),
  });

  router.handle(METHODS.Policy.List, () => {
    const { number, sources } = policies.set();
    return {
      set: number,
      sources: sources.map((source) => ({ ...message(source), text: "" })),
      policies: policies.policies().map(({ id, effect, kind, description = "" }) => ({
        ...{ id, effect, description },
        kind: kind === "static" ? "policy" : kind,
      })),
    };
  });
  router.handle(METHODS.Policy.Show, ({ id }) => message(policies.source(id)));
  router.handle(METHODS.Policy.Export, ({ set }) => {
    const found = policies.set(set === 0 ? undefined : set);
    return { set: found.number, sources: found.sources.map(message) };
  });
  router.handle(METHODS.Policy.History, ({ limit }) => {
    const entries = policies.history(limit === 0 ? HISTORY_SIZE : Math.min(limit, HISTORY_SIZE_MAX));
    return {
      sets: entries.map(({ number, changed, ...entry }) => ({
        ...entry,
        set: number,
        byName: nameOf(entry.by),
        changed: [...changed],
      })),
    };
  });

  const handle = <Fields, Request extends Fields>(
    method: MethodDefinition<"unary", Fields, Request, ChangeFields, ChangeMessage>,
    wishOf: (request: Request) => PolicyWish,
  ): void => {
    router.handle(method, (request, context) => {
      const wish = wishOf(request);
      return mutate(method, {
        ...{ context, request, granted: guard.granted(context), reply: changeMessage },
        detail: ({ set }: PolicyChange) => ({
          ...{ change: wish.kind, set: String(set) },
          ...(wish.kind === "rollback" ? { from: String(wish.set) } : {}),
          ...(wish.kind === "put" ? { sha256: hex(sha256(utf8(textOf(wish.source)))) } : {}),
          ...(wish.mayLockOut ? { lockout: "forced" } : {}),
        }),
        change: (mutation) => policies.change(wish, authorOf(context, wish), mutation),
      });
    });
  };
  handle(METHODS.Policy.Put, putWish);
  handle(METHODS.Policy.Remove, removeWish);
  handle(METHODS.Policy.Rollback, rollbackWish);

  router.handle(METHODS.Policy.Explain, (request, context) => {
    const question = questions.of(request, { granted: guard.granted(context), context });
    const { decision, words, deciding, nearest } = policies.explain(question);
    return {
      ...{ isAllowed: decision.kind === "allow", reason: words[0] ?? decision.reason },
      ...{ request: requestMessage(question), decided: deciding.map(decidedMessage) },
      nearest: nearest.map(nearestMessage),
    };
  });
  router.handle(METHODS.Policy.Check, async (_request, { signal }) => {
    const { findings, recorded, recordedSince } = await policies.check(signal);
    return { findings: [...findings], recorded, recordedSince };
  });
  router.handle(METHODS.Policy.Shadow, async ({ put, remove, rollback }, context) => {
    const wish = put ? putWish(put) : remove ? removeWish(remove) : rollbackWish(rollback ?? {});
    const report = await policies.shadow(wish, authorOf(context, wish), context.signal);
    const { changed, recorded, recordedSince } = report;
    const { deviceId } = context.peer;
    const mayListDevices = guard.granted(context).may("device:list", { kind: "gatehouse", id: gatehouseId });
    // What others asked for is for who may ask about others.
    const shown = changed.filter(({ request }) => mayListDevices || request.principal.deviceId === deviceId);
    return {
      ...{ recorded, recordedSince, changedInAll: changed.length },
      changed: shown.slice(0, SHADOW_ROWS_MAX).map(({ request, count, before, after }) => ({
        ...{ request: requestMessage(request), count },
        ...{ wasAllowed: before.kind === "allow", wouldBeAllowed: after.kind === "allow" },
        ...{ decidedBy: [...before.policies], wouldBeDecidedBy: [...after.policies] },
      })),
    };
  });
}

type ChangeFields = gatehouse.v1.PolicyChange.$Properties;
type ChangeMessage = gatehouse.v1.PolicyChange;
type PutFields = gatehouse.v1.PolicyPutRequest.$Properties;
type RemoveFields = gatehouse.v1.PolicyRemoveRequest.$Properties;
type RollbackFields = gatehouse.v1.PolicyRollbackRequest.$Properties;
type LinkFields = gatehouse.v1.PolicyLink.$Properties;
type EntityFields = gatehouse.v1.PolicyEntity.$Properties;

/** What was put, as the audit log tells it from anything else: the text, or the link in JSON. */
function textOf(source: PolicySource): string {
  return "text" in source ? source.text : JSON.stringify(source);
}

function putWish({ id, text, link, forceLockout, ifSet }: PutFields): PolicyWish {
  if (!id) throw new GatehouseError("usage.bad-argument", "a policy source needs an id");
  const source = link ? linkOf(id, link) : { id, text: text ?? "" };
  if (link && text)
    throw new GatehouseError("usage.bad-argument", "a policy source is a text or a link, not both");
  return { kind: "put", source, mayLockOut: forceLockout === true, ifSet: ifSet ?? undefined };
}

function linkOf(id: string, { template, principal, resource }: LinkFields): PolicySource {
  return {
    ...{ id, template: template ?? "" },
    ...(principal ? { principal: entityOf(principal) } : {}),
    ...(resource ? { resource: entityOf(resource) } : {}),
  };
}

function entityOf({ type, id }: EntityFields) {
  return { type: type ?? "", id: id ?? "" };
}

function removeWish({ id, forceLockout, ifSet }: RemoveFields): PolicyWish {
  return {
    ...{ kind: "remove", id: id ?? "", mayLockOut: forceLockout === true },
    ifSet: ifSet ?? undefined,
  };
}

function rollbackWish({ set, forceLockout }: RollbackFields): PolicyWish {
  return { kind: "rollback", set: set ?? 0, mayLockOut: forceLockout === true };
}

function changeMessage({ set, changed }: PolicyChange): ChangeFields {
  return { set, changed: [...changed] };
}

function sourceMessage(source: PolicySourceFacts): gatehouse.v1.PolicySource.$Properties {
  const { id, version, at, by } = source;
  const facts = { id, version, changedAt: at, changedBy: by };
  if (!("template" in source)) return { ...facts, text: source.text };
  const { template, principal = null, resource = null } = source;
  return { ...facts, link: { template, principal, resource } };
}

function requestMessage({ principal, action, resource, context }: AuthorizationRequest) {
  const { deviceId, name = "", roles, user } = principal;
  return {
    ...{ device: deviceId, deviceName: name, roles: [...new Set([...roles, ...(user?.roles ?? [])])] },
    ...{ action, resource: resourceName(resource), at: context.timeMs },
  };
}

function decidedMessage({ id, effect, text, held, error }: DecidingPolicy) {
  const because = held.map(({ clause, exception }) =>
    exception === undefined ? clause : `${clause} (${exception})`,
  );
  return { policy: id, effect, text, because: error === undefined ? because : [error], failedCondition: "" };
}

function nearestMessage({ id, effect, text, missing }: NearPermit) {
  const { words, clause = "" } = missing;
  return { policy: id, effect, text, because: [words], failedCondition: clause };
}
