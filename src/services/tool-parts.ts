import { type Clock, GatehouseError, type Random } from "../core/index.ts";
import type { BoundCall, RunOptions, ToolDefinition, ToolEvent } from "../tools/index.ts";
import type { Secrets } from "../vault/index.ts";
import type { ApprovalDesk, DeviceNames } from "./approvals.ts";
import type { CallerFacts, Guard } from "./guard.ts";

/** The tools that the configuration declares. */
export interface ToolShop {
  /** By name, in order of name. */
  readonly tools: ReadonlyMap<string, ToolDefinition>;
  /** As `ToolRunner.run`. */
  run(call: BoundCall, options: RunOptions): AsyncIterable<ToolEvent>;
}

export interface ToolServiceParts {
  readonly guard: Guard;
  readonly shop: ToolShop;
  readonly approvals: ApprovalDesk;
  readonly secrets: Pick<Secrets, "get">;
  readonly names: DeviceNames;
  /** Devices that may call now, each as policies see it. */
  readonly activeDevices: () => Iterable<CallerFacts & { readonly id: string }>;
  /** Number of the set of policies in force. */
  readonly policySet: () => number;
  /** Arguments as the audit log tells them apart: a keyed hash. */
  readonly auditHash: (argumentsHash: string) => string;
  readonly clock: Clock;
  readonly random: Random;
}

/** @throws tool.not-found */
export function toolIn({ tools }: Pick<ToolShop, "tools">, name: string): ToolDefinition {
  const found = tools.get(name);
  if (found !== undefined) return found;
  throw new GatehouseError("tool.not-found", "there is no tool of that name", {
    hint: "see which there are: gatehouse tool ls",
  });
}
