/** Who may say yes to a call, now. */
import type { Approval as ApprovalFact } from "../authz/index.ts";
import { GatehouseError } from "../core/index.ts";
import { parseDeviceId } from "../identity/index.ts";
import type { Approval } from "../tools/index.ts";
import type { CallerFacts, Guard } from "./guard.ts";
import type { Subject, ToolSubject } from "./subject.ts";
import type { ToolServiceParts } from "./tool-parts.ts";

type Approver = CallerFacts & { readonly id: string };

/** A call that needs a yes. */
export interface ApprovalCaller {
  readonly deviceId: string;
  /** Whose the calling device is. */
  readonly user: string | undefined;
  readonly tool: ToolSubject;
}

/** Devices asked in one turn of the event loop: a decision takes some 0.2 ms. */
const AT_ONCE = 25;

export class Approvers {
  readonly #guard: Guard;
  readonly #activeDevices: ToolServiceParts["activeDevices"];

  constructor({ guard, activeDevices }: Pick<ToolServiceParts, "guard" | "activeDevices">) {
    this.#guard = guard;
    this.#activeDevices = activeDevices;
  }

  /** Whether there is a device that may decide and whose yes would let the call go on. @throws what `signal` aborts with */
  async hasOne({
    isAllowedBy,
    signal,
    ...caller
  }: ApprovalCaller & {
    readonly isAllowedBy: (decidedBy: ApprovalFact["decidedBy"]) => boolean;
    readonly signal: AbortSignal;
  }): Promise<boolean> {
    let asked = 0;
    for (const device of [...this.#activeDevices()]) {
      if (isSamePerson(device, caller)) continue;
      asked += 1;
      if (asked % AT_ONCE === 0) {
        await new Promise((resolve) => setImmediate(resolve));
        signal.throwIfAborted();
      }
      if (this.#mayDecide(device, caller.tool) && isAllowedBy(asPrincipal(device))) return true;
    }
    return false;
  }

  /** What policies see of a yes that was given. @throws approval.stale when its giver may not give it any more */
  factOf({ id, decidedBy }: Approval, caller: ApprovalCaller): ApprovalFact {
    const device = [...this.#activeDevices()].find((each) => each.id === decidedBy);
    if (device === undefined || isSamePerson(device, caller) || !this.#mayDecide(device, caller.tool)) {
      throw giverGone(id);
    }
    return { id, decidedBy: asPrincipal(device) };
  }

  #mayDecide(device: Approver, { name, groups }: ToolSubject): boolean {
    const subject: Subject = { action: "approval:decide", resource: { kind: "tool", name, groups } };
    return this.#guard.wouldAllow(device, subject);
  }
}

/** Two devices of one user are one person, who does not say yes to a call of their own. */
export function isSamePerson(
  { id, user }: Pick<Approver, "id" | "user">,
  caller: Omit<ApprovalCaller, "tool">,
): boolean {
  return id === caller.deviceId || (user !== undefined && user.id === caller.user);
}

function asPrincipal({ id, ...facts }: Approver): ApprovalFact["decidedBy"] {
  return { deviceId: parseDeviceId(id), ...facts };
}

function giverGone(id: string): GatehouseError<"approval.stale"> {
  return new GatehouseError("approval.stale", "whoever approved it may not do so any more", {
    hint: `take the question back and ask again: gatehouse approval deny ${id.slice(0, 8)}`,
  });
}
