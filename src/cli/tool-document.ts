/** Tools and approvals as scripts and people see them. */
import { printable, type Style } from "./style.ts";
import { facts } from "./table.ts";
import { relativeDate } from "./words.ts";

export interface ToolDocument {
  readonly name: string;
  readonly description: string;
  readonly parameters: readonly ParameterDocument[];
  readonly needsApproval: boolean;
  readonly groups: readonly string[];
  readonly timeoutMs: number;
  readonly outputBytesMax: number;
  readonly runsAs: string;
}

export interface ParameterDocument {
  readonly name: string;
  readonly type: string;
  readonly description: string;
  readonly isRequired: boolean;
  readonly default: string;
  readonly choices: readonly string[];
  readonly pattern: string;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };

export function asTool(
  record: Nullable<Omit<ToolDocument, "parameters">> & {
    readonly parameters?: readonly Nullable<ParameterDocument>[] | null;
  },
): ToolDocument {
  return {
    ...{ name: record.name ?? "", description: record.description ?? "", groups: record.groups ?? [] },
    ...{ needsApproval: record.needsApproval ?? false, runsAs: record.runsAs ?? "" },
    ...{ timeoutMs: record.timeoutMs ?? 0, outputBytesMax: record.outputBytesMax ?? 0 },
    parameters: (record.parameters ?? []).map((parameter) => ({
      ...{ name: parameter.name ?? "", type: parameter.type ?? "", description: parameter.description ?? "" },
      ...{ isRequired: parameter.isRequired ?? false, default: parameter.default ?? "" },
      ...{ choices: parameter.choices ?? [], pattern: parameter.pattern ?? "" },
    })),
  };
}

/** `environment=staging|production`, `[ref=…]`. */
export function parameterUsage({ name, type, isRequired, choices }: ParameterDocument): string {
  const value = type === "choice" ? choices.join("|") : type;
  return isRequired ? `${name}=${value}` : `[${name}=${value}]`;
}

export interface ApprovalDocument {
  readonly id: string;
  readonly tool: string;
  readonly arguments: Readonly<Record<string, string>>;
  readonly argumentsHash: string;
  readonly requestedBy: string;
  readonly requestedByName: string;
  readonly requestedByRoles: readonly string[];
  readonly requestedAt: number;
  readonly expiresAt: number;
  readonly state: string;
  readonly decidedBy: string;
  readonly decidedByName: string;
  readonly decidedAt: number;
  readonly reason: string;
  readonly comment: string;
}

export function asApproval(record: Nullable<ApprovalDocument> | null | undefined): ApprovalDocument {
  return {
    ...{ id: record?.id ?? "", tool: record?.tool ?? "", arguments: { ...record?.arguments } },
    ...{ argumentsHash: record?.argumentsHash ?? "", state: record?.state ?? "" },
    ...{ requestedBy: record?.requestedBy ?? "", requestedByName: record?.requestedByName ?? "" },
    requestedByRoles: record?.requestedByRoles ?? [],
    ...{ requestedAt: record?.requestedAt ?? 0, expiresAt: record?.expiresAt ?? 0 },
    ...{ decidedBy: record?.decidedBy ?? "", decidedByName: record?.decidedByName ?? "" },
    ...{ decidedAt: record?.decidedAt ?? 0, reason: record?.reason ?? "", comment: record?.comment ?? "" },
  };
}

/** `deploy environment=production ref=main`, printable. */
export function callWords({ tool, arguments: given }: ApprovalDocument): string {
  const words = Object.entries(given).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return printable([tool, ...words].join(" "));
}

/** Everything that whoever is asked should know. */
export function describeApproval(approval: ApprovalDocument, nowMs: number, style: Style): string {
  const { id, requestedBy, requestedByName, requestedByRoles, requestedAt, expiresAt, state } = approval;
  return facts(
    [
      ["approval", id],
      ["call", callWords(approval)],
      [
        "asked by",
        `${requestedByName} (${requestedBy.slice(0, 8)}…; ${requestedByRoles.join(", ") || "no role"})`,
      ],
      ["asked", relativeDate(requestedAt, nowMs)],
      ...(approval.reason === "" ? [] : [["for", approval.reason] as const]),
      [
        "state",
        state === "pending" || state === "approved"
          ? `${state}, until ${relativeDate(expiresAt, nowMs)}`
          : state,
      ],
      ...(approval.decidedBy === ""
        ? []
        : [
            [
              "decided by",
              `${approval.decidedByName} (${approval.decidedBy.slice(0, 8)}…) ${relativeDate(approval.decidedAt, nowMs)}`,
            ] as const,
          ]),
      ...(approval.comment === "" ? [] : [["comment", approval.comment] as const]),
    ],
    style,
  );
}
