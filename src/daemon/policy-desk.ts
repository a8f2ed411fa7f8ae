import {
  type Authorizer,
  checkPolicies,
  type PolicyAuthor,
  type PolicyChange,
  type PolicyPlan,
  type PolicyStore,
  type RequestRecorder,
  shadow,
} from "../authz/index.ts";
import { type Clock, GatehouseError } from "../core/index.ts";
import {
  ALL_POLICIES,
  absentRequest,
  type PolicyDesk,
  type PolicyWish,
  type Recorded,
} from "../services/index.ts";
import { type Change, DEVICES_LOCK, type Mutation, type Shelf } from "../vault/index.ts";
import { Turns } from "./turns.ts";

export interface PolicyDeskParts {
  readonly shelf: Shelf;
  readonly store: PolicyStore;
  readonly authorizer: Authorizer;
  /** Text of the Cedar schema. */
  readonly schema: string;
  readonly recorder: RequestRecorder;
  /** Whether some device could change policies, were these in force. */
  readonly isManageable: (candidate: Authorizer) => boolean;
  /** Counts a change of rights, for copies of the vault that do not know of it. */
  readonly epochChange: () => Change;
  /** Called when another set is in force. */
  readonly changed: () => Promise<void>;
}

/** Work on policies that may be before a change, and before what only looks: changes always have room. */
const CHANGES_AHEAD_MAX = 16;
const TRIALS_AHEAD_MAX = 4;
/** Where the home's own command line calls from. */
const LOOPBACK = "127.0.0.1";
/** Whoever changes policies holds it. */
const POLICY_LOCK = "policy";

export function policyDesk(parts: PolicyDeskParts): PolicyDesk {
  const { store, shelf, authorizer, recorder, schema } = parts;
  const turns = new Turns();
  /** What is wrong with it is said in the transaction: a request that is repeated has its answer already. */
  const prepare = async (wish: PolicyWish, author: PolicyAuthor): Promise<() => Authorizer> => {
    try {
      const candidate = await authorizer.candidate(planOf(store, wish, author).sources);
      return () => candidate;
    } catch (failure) {
      return () => {
        throw failure;
      };
    }
  };
  return {
    set: (number) => store.set(number),
    source: (id) => store.source(id),
    policies: () => authorizer.policies(),
    history: (limit) => store.history(limit),
    explain: (request) => authorizer.explain(request),

    change: (wish, author, mutation: Mutation<PolicyChange>) =>
      turns.next(CHANGES_AHEAD_MAX, async () => {
        const prepared = await prepare(wish, author);
        let applied: Authorizer | undefined;
        const result = await shelf.transact(
          [POLICY_LOCK, DEVICES_LOCK],
          mutation,
          () => {
            const plan = planOf(store, wish, author);
            applied = prepared();
            if (!wish.mayLockOut && !parts.isManageable(applied)) throw lockout();
            return plan;
          },
          () => [parts.epochChange()],
        );
        if (applied !== undefined) authorizer.replace(applied);
        await parts.changed();
        return result;
      }),

    check: (signal) =>
      turns.next(TRIALS_AHEAD_MAX, async () => {
        const recorded = recorder.recorded();
        const { matched } = await shadow({ recorded, current: authorizer, candidate: authorizer, signal });
        const { sources } = store.set();
        const seen = recorded.length === 0 ? {} : { matched };
        return { findings: await checkPolicies({ schema, sources, ...seen }), ...extentOf(recorder) };
      }),

    shadow: (wish, author, signal) =>
      turns.next(TRIALS_AHEAD_MAX, async () => {
        const candidate = await authorizer.candidate(planOf(store, wish, author).sources);
        const report = await shadow({
          recorded: recorder.recorded(),
          current: authorizer,
          candidate,
          signal,
        });
        return { ...report, ...extentOf(recorder) };
      }),
  };
}

/** Whether the device could change policies, were these in force. */
export function mayManage(
  candidate: Authorizer,
  { device, clock }: { readonly device: Parameters<typeof absentRequest>[1]; readonly clock: Clock },
): boolean {
  const subject = { action: "policy:write", resource: { kind: "policy", id: ALL_POLICIES } } as const;
  const { context, ...request } = absentRequest({ clock }, device, subject);
  return candidate.decide({ ...request, context: { ...context, remoteAddress: LOOPBACK } }).kind === "allow";
}

function planOf(store: PolicyStore, wish: PolicyWish, { at, by }: PolicyAuthor): PolicyPlan {
  const author = { at, by, ifSet: wish.ifSet };
  switch (wish.kind) {
    case "put":
      return store.planPut(wish.source, author);
    case "remove":
      return store.planRemove(wish.id, author);
    case "rollback":
      return store.planRollback(wish.set, author);
  }
}

function extentOf(recorder: RequestRecorder): Recorded {
  const times = recorder.recorded().map(({ firstMs }) => firstMs);
  return { recorded: times.length, recordedSince: times.length === 0 ? 0 : Math.min(...times) };
}

function lockout(): GatehouseError<"policy.lockout"> {
  return new GatehouseError("policy.lockout", "with these no device could change policies any more", {
    hint: `keep a permit for policy:write on Policy::"${ALL_POLICIES}"; --force-lockout does it all the same`,
  });
}
