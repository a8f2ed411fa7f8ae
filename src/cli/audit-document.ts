/** Records of the audit log as scripts and people see them. */
import { hex } from "../core/index.ts";
import { printable, type Style } from "./style.ts";
import { localTime } from "./words.ts";

export interface AuditDocument {
  readonly sequence: number;
  /** Hex. */
  readonly hash: string;
  /** Unix ms. */
  readonly at: number;
  /** Device id; empty when the gatehouse acted by itself. */
  readonly principal: string;
  readonly principalName: string;
  readonly principalRole: string;
  readonly action: string;
  readonly resource: string;
  readonly outcome: string;
  readonly code: string;
  readonly policies: readonly string[];
  readonly requestId: string;
  readonly wire: string;
  readonly remoteAddress: string;
  readonly detail: Readonly<Record<string, string>>;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };
type WireEvent = Nullable<Omit<AuditDocument, "requestId"> & { readonly requestId: Uint8Array }>;
type WireEntry = Nullable<{
  readonly sequence: number;
  readonly hash: Uint8Array;
  readonly event: WireEvent;
  readonly principalName: string;
}>;

export function asAuditEntry({ sequence, hash, event, principalName }: WireEntry): AuditDocument {
  const told = event ?? {};
  return {
    ...{ sequence: sequence ?? 0, hash: hex(hash ?? new Uint8Array(0)), at: told.at ?? 0 },
    ...{ principal: told.principal ?? "", principalName: principalName ?? "" },
    ...{ principalRole: told.principalRole ?? "", action: told.action ?? "", resource: told.resource ?? "" },
    ...{ outcome: told.outcome ?? "", code: told.code ?? "", policies: told.policies ?? [] },
    ...{ requestId: hex(told.requestId ?? new Uint8Array(0)), wire: told.wire ?? "" },
    ...{ remoteAddress: told.remoteAddress ?? "", detail: told.detail ?? {} },
  };
}

/** `2026-11-23 17:02:11  denied   phone  tool:run tool:deploy  authz.denied  by …  environment=…`. */
export function auditLine(entry: AuditDocument, style: Style): string {
  const { at, principal, action, resource, outcome, code, policies, detail } = entry;
  const who = entry.principalName || (principal === "" ? "the gatehouse" : principal.slice(0, 8));
  const facts = Object.entries(detail).map(([name, value]) => `${name}=${value}`);
  const words = [
    ...[who, `${action} ${resource}`, code, policies.length === 0 ? "" : `by ${policies.join(", ")}`],
    ...facts,
  ];
  const isBad = outcome === "denied" || outcome === "failed";
  const rest = words.filter((word) => word !== "").map(printable);
  return [
    style.dim(localTime(at)),
    style[isBad ? "yellow" : "green"](printable(outcome).padEnd(7)),
    ...rest,
  ].join("  ");
}
