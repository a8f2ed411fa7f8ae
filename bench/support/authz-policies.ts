/** Sets of policies as a gatehouse of several teams has them: eight for each team beside four for everybody. */
import type { PolicySet } from "@cedar-policy/cedar-wasm/nodejs";
import type { EntityName, PolicyLink, PolicySource } from "../../src/authz/index.ts";
import type { DeviceId } from "../../src/identity/index.ts";
import { idOf } from "../../test/authz/fixture.ts";

export interface PolicyBook {
  /** Policies that decide: texts and links; templates are not counted. */
  readonly policies: number;
  /** Whose policies are there, the last one's perhaps not all. */
  readonly teams: number;
  /** As an authorizer takes them. */
  readonly sources: readonly PolicySource[];
  /** The same, with the same ids, as Cedar takes them. */
  readonly cedar: PolicySet;
}

/** The first `policies` of an endless book. @throws RangeError for fewer than one team's worth */
export function policyBook(policies: number): PolicyBook {
  const common = Object.entries(COMMON).map(([id, text]) => ({ id, text }));
  const entries: PolicySource[] = [...common];
  let teams = 0;
  for (; entries.length < policies; teams += 1) entries.push(...policiesOf(teams));
  if (teams === 0) throw new RangeError(`policies: more than ${common.length} expected, ${policies} came`);
  const sources = entries.slice(0, policies);
  return { policies, teams, sources: [TEMPLATES, ...sources], cedar: cedarSet(sources) };
}

export function teamName(team: number): string {
  return `team-${String(team).padStart(3, "0")}`;
}

/** The one device of a team that runs by itself. */
export function robotOf(team: number): DeviceId {
  return idOf(`${teamName(team)} robot`);
}

/** First two bytes of the addresses that a team calls from. */
export function networkOf(team: number): string {
  return `10.${team}`;
}

const READS = `@id("reads")
permit (principal in ?principal, action in [Action::"secret:list", Action::"secret:reveal"], resource in ?resource);`;

const TEMPLATES: PolicySource = { id: "grants", text: READS };
const READS_ID = "grants/reads";

const COMMON: Readonly<Record<string, string>> = {
  "owner-everything": `permit (principal in Role::"owner", action, resource);`,
  "paired-reach": `permit (principal, action in Action::"paired", resource is Gatehouse);`,
  "own-folder": `permit (principal in Role::"member", action in [Action::"secret:list", Action::"secret:reveal", Action::"secret:write"], resource)
when { resource has owner && resource.owner == principal };`,
  "reads-shared": `permit (principal in Role::"member", action in [Action::"secret:list", Action::"secret:reveal"], resource in Folder::"shared");`,
};

function policiesOf(team: number): readonly PolicySource[] {
  const name = teamName(team);
  const entity = (type: string, id: string): EntityName => ({ type, id });
  const texts: Readonly<Record<string, string>> = {
    deploys: `permit (principal in Role::"${name}", action == Action::"tool:run", resource in ToolGroup::"${name}")
when { context has arguments && context.arguments.hasTag("environment") && context.arguments.getTag("environment") == "staging" };`,
    approved: `permit (principal in Role::"${name}", action == Action::"tool:run", resource in ToolGroup::"${name}")
when { context has approval && context.approval.decidedBy in Role::"security" && context.approval.decidedBy != principal };`,
    writes: `permit (principal in Role::"${name}", action == Action::"secret:write", resource in Folder::"teams/${name}/ci")
when { context.time.toTime() >= duration("6h") && context.time.toTime() < duration("20h") };`,
    outside: `forbid (principal, action in Action::"write", resource in Folder::"teams/${name}/production")
unless { context has remoteAddress && context.remoteAddress.isInRange(ip("${networkOf(team)}.0.0/16")) };`,
    lead: `permit (principal in User::"${name}-lead", action in Action::"write", resource in Folder::"teams/${name}");`,
    early: `forbid (principal, action == Action::"tool:run", resource in ToolGroup::"${name}") when { context.isEarlyData };`,
    robot: `permit (principal == Device::"${robotOf(team)}", action == Action::"secret:use", resource in Folder::"teams/${name}/ci");`,
  };
  const reads: PolicyLink = {
    ...{ id: `${name}-reads`, template: READS_ID },
    principal: entity("Role", name),
    resource: entity("Folder", `teams/${name}`),
  };
  return [reads, ...Object.entries(texts).map(([id, text]) => ({ id: `${name}-${id}`, text }))];
}

function cedarSet(sources: readonly PolicySource[]): PolicySet {
  return {
    staticPolicies: Object.fromEntries(
      sources.flatMap((source) => ("text" in source ? [[source.id, source.text]] : [])),
    ),
    templates: { [READS_ID]: READS },
    templateLinks: sources.flatMap((source) => ("template" in source ? [cedarLink(source)] : [])),
  };
}

function cedarLink({
  id,
  template,
  principal,
  resource,
}: PolicyLink): NonNullable<PolicySet["templateLinks"]>[number] {
  if (principal === undefined || resource === undefined) throw new TypeError(`${id} leaves a slot empty`);
  return {
    ...{ templateId: template, newId: id },
    values: { "?principal": { ...principal }, "?resource": { ...resource } },
  };
}
