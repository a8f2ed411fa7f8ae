/** Policies as scripts and people see them. */
import { printable, type Style } from "./style.ts";
import { table } from "./table.ts";
import { relativeDate } from "./words.ts";

export interface SourceDocument {
  readonly id: string;
  readonly text: string;
  readonly link: LinkDocument | undefined;
  readonly version: number;
  readonly changedAt: number;
  readonly changedBy: string;
  readonly changedByName: string;
}

export interface LinkDocument {
  readonly template: string;
  readonly principal: string | undefined;
  readonly resource: string | undefined;
}

export interface PolicyDocument {
  readonly id: string;
  readonly effect: string;
  readonly kind: string;
  readonly description: string;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };
type WireEntity = Nullable<{ readonly type: string; readonly id: string }> | null | undefined;
type WireSource = Nullable<Omit<SourceDocument, "link">> & {
  readonly link?: {
    readonly template?: string | null;
    readonly principal?: WireEntity;
    readonly resource?: WireEntity;
  } | null;
};

export function asSource({ link, ...source }: WireSource): SourceDocument {
  return {
    ...{ id: source.id ?? "", text: source.text ?? "", version: source.version ?? 0 },
    ...{ changedAt: source.changedAt ?? 0, changedBy: source.changedBy ?? "" },
    changedByName: source.changedByName ?? "",
    link: link === undefined || link === null ? undefined : asLink(link),
  };
}

function asLink({ template, principal, resource }: NonNullable<WireSource["link"]>): LinkDocument {
  return { template: template ?? "", principal: entityText(principal), resource: entityText(resource) };
}

/** `Role::"ci"`, as Cedar writes it. */
function entityText(entity: WireEntity): string | undefined {
  if (entity === undefined || entity === null) return undefined;
  return `${entity.type ?? ""}::${JSON.stringify(entity.id ?? "")}`;
}

export function asPolicy({ id, effect, kind, description }: Nullable<PolicyDocument>): PolicyDocument {
  return { id: id ?? "", effect: effect ?? "", kind: kind ?? "", description: description ?? "" };
}

/** What stands in a file for it, and is read back from there. */
export function sourceText({ text, link }: SourceDocument): string {
  if (link === undefined) return text;
  const slots = [
    ...(link.principal === undefined ? [] : [`principal ${link.principal}`]),
    ...(link.resource === undefined ? [] : [`resource ${link.resource}`]),
  ];
  return `link of ${link.template}: ${slots.join(", ")}\n`;
}

export function sourceTable(sources: readonly SourceDocument[], nowMs: number, style: Style): string {
  const rows = sources.map(({ id, link, version, changedAt, changedBy, changedByName }) => [
    ...[id, link === undefined ? "policies" : `link of ${link.template}`],
    changedAt === 0 ? "built in" : `version ${version}`,
    ...[changedAt === 0 ? "" : relativeDate(changedAt, nowMs), changedByName || changedBy.slice(0, 8)],
  ]);
  return table(["source", "what", "version", "changed", "by"], rows, style);
}

export function policyTable(policies: readonly PolicyDocument[], style: Style): string {
  const rows = policies.map(({ id, effect, kind, description }) => [id, effect, kind, description]);
  return table(["policy", "effect", "kind", "description"], rows, style);
}

export interface RequestDocument {
  readonly device: string;
  readonly deviceName: string;
  readonly roles: readonly string[];
  readonly action: string;
  readonly resource: string;
  readonly at: number;
}

export function asRequest(request: Nullable<RequestDocument> | null | undefined): RequestDocument {
  return {
    ...{ device: request?.device ?? "", deviceName: request?.deviceName ?? "", roles: request?.roles ?? [] },
    ...{ action: request?.action ?? "", resource: request?.resource ?? "", at: request?.at ?? 0 },
  };
}

/** `laptop (member) secret:write secret:shared/db`, printable. */
export function requestWords({ device, deviceName, roles, action, resource }: RequestDocument): string {
  const who = deviceName === "" ? device.slice(0, 8) : deviceName;
  const role = roles.length === 0 ? "no role" : roles.join(", ");
  return printable(`${who} (${role}) ${action} ${resource}`);
}

export interface ReasonDocument {
  readonly policy: string;
  readonly effect: string;
  readonly text: string;
  readonly because: readonly string[];
  readonly failedCondition: string;
}

export function asReason(reason: Nullable<ReasonDocument>): ReasonDocument {
  return {
    ...{ policy: reason.policy ?? "", effect: reason.effect ?? "", text: reason.text ?? "" },
    ...{ because: reason.because ?? [], failedCondition: reason.failedCondition ?? "" },
  };
}

export interface ExplanationDocument {
  readonly allowed: boolean;
  readonly reason: string;
  readonly request: RequestDocument;
  readonly decided: readonly ReasonDocument[];
  readonly nearest: readonly ReasonDocument[];
}

/** The decision first, then why, then what would have come nearest. */
export function explanationWords(explanation: ExplanationDocument, style: Style): string {
  const { allowed, reason, request, decided, nearest } = explanation;
  const verdict = allowed ? style.green("allowed") : style.red("denied");
  return [
    `${style.bold(verdict)}: ${requestWords(request)}`,
    printable(reason),
    ...decided.flatMap((each) => ["", ...reasonLines(each, style)]),
    ...(nearest.length === 0 ? [] : ["", style.bold("what comes nearest")]),
    ...nearest.flatMap((each) => ["", ...reasonLines(each, style)]),
  ].join("\n");
}

function reasonLines(
  { policy, effect, because, failedCondition }: ReasonDocument,
  style: Style,
): readonly string[] {
  return [
    `${style.bold(printable(policy))} ${style.dim(printable(effect))}`,
    ...because.map((words) => `  ${printable(words)}`),
    ...(failedCondition === "" ? [] : [style.dim(`  ${printable(failedCondition)}`)]),
  ];
}
