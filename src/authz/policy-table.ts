/**
 * Tables that say what policies decide, to be tried on any set of them. JSON:
 *
 * ```
 * {
 *   "about": "free text",
 *   "gatehouse": "home",                                  a device: what `"gatehouse": true` below is about
 *   "users": { "ada": { "roles": ["security"] } },
 *   "devices": {
 *     "home": { "role": "owner" },                        one role, or "roles": ["member", "deployer"]
 *     "phone": { "role": "member", "user": "ada", "name": "Ada's phone" }
 *   },
 *   "decisions": [{
 *     "who": "phone", "may": "tool:run",
 *     "tool": "deploy", "groups": ["production"],         one of secret, folder, device, tool (that alone with groups),
 *                                                         profile, policy, "gatehouse": true, "auditLog": true
 *     "with": {                                           each may be left out
 *       "wire": "quic", "remoteAddress": "192.0.2.7", "isEarlyData": false, "time": "2026-11-23T12:00:00Z",
 *       "arguments": { "environment": "production" }, "approval": { "by": "home" }, "role": "member"
 *     },
 *     "is": "allow",                                      or "deny"
 *     "by": "ops/deploy",                                 or a list: exactly the policies that decide, [] for none;
 *                                                         left out when it does not matter
 *     "because": "permits this"                           part of a line of the explanation
 *   }]
 * }
 * ```
 *
 * A device's key is a name for it here; one that is a device id stands for that device itself. `{phone}` in a path, or
 * in a policy's or profile's name, is that device's id. Without `with`, a call comes over QUIC from no address, not
 * early, at noon of 2026-01-01 (UTC).
 */
import { GatehouseError } from "../core/index.ts";
import { line } from "./display.ts";
import type { Explanation } from "./explain.ts";
import { choiceOf, fieldsOf, listOf, Misshapen, optional, textOf } from "./json-shape.ts";
import { ACTIONS, type AuthorizationRequest } from "./request.ts";
import { type Cast, castOf } from "./table-cast.ts";
import { contextOf, RESOURCE_KEYS, resourceOf } from "./table-request.ts";

/** A table that was read: every row with the request it stands for. */
export interface PolicyTable {
  readonly rows: readonly TableRow[];
}

export interface TableRow {
  /** From 0. */
  readonly index: number;
  /** What the table calls the device. */
  readonly who: string;
  readonly request: AuthorizationRequest;
  readonly expected: TableExpectation;
}

export interface TableExpectation {
  readonly kind: "allow" | "deny";
  /** Exactly these, in order of id; `undefined` when it does not matter. */
  readonly policies?: readonly string[] | undefined;
  /** Part of one of the explanation's words. */
  readonly because?: string | undefined;
}

export interface TableResult extends TableRow {
  readonly actual: { readonly kind: "allow" | "deny"; readonly policies: readonly string[] };
  readonly passed: boolean;
  readonly explanation: Explanation;
}

/** Each row costs a few milliseconds of whoever runs them. */
const ROWS_MAX = 1_000;

/** @throws GatehouseError `usage.bad-argument` naming the place of the mistake, such as `decisions[3].who`. */
export function parsePolicyTable(json: unknown): PolicyTable {
  try {
    const names = { required: ["devices", "decisions"], optional: ["about", "gatehouse", "users"] };
    const table = fieldsOf(json, "", names);
    optional(table["about"], "about", textOf);
    const cast = castOf(table);
    const rows = listOf(table["decisions"], "decisions", (row, place) => rowOf(row, place, cast));
    if (rows.length > ROWS_MAX)
      throw new Misshapen("decisions", `has ${rows.length} rows, at most ${ROWS_MAX} are taken`);
    return { rows: rows.map((row, index) => ({ index, ...row })) };
  } catch (error) {
    if (!(error instanceof Misshapen)) throw error;
    throw new GatehouseError("usage.bad-argument", `not a policy table: ${line(error.message)}`, {
      hint: "compare it with the table that gatehouse comes with, schemas/cedar/default.test.json",
    });
  }
}

/** What the authorizer decides, row by row. */
export function runPolicyTable(
  { rows }: PolicyTable,
  authorizer: { explain(request: AuthorizationRequest): Explanation },
): readonly TableResult[] {
  return rows.map((row) => {
    const explanation = authorizer.explain(row.request);
    const { kind, policies } = explanation.decision;
    return { ...row, actual: { kind, policies }, passed: isMet(row.expected, explanation), explanation };
  });
}

function isMet({ kind, policies, because }: TableExpectation, { decision, words }: Explanation): boolean {
  return (
    decision.kind === kind &&
    (policies === undefined || JSON.stringify(policies) === JSON.stringify(decision.policies)) &&
    (because === undefined || words.some((text) => text.includes(because)))
  );
}

function rowOf(json: unknown, place: string, cast: Cast): Omit<TableRow, "index"> {
  const row = fieldsOf(json, place, {
    required: ["who", "may", "is"],
    optional: [...RESOURCE_KEYS, "groups", "with", "by", "because"],
  });
  const at = (name: string): [unknown, string] => [row[name], `${place}.${name}`];
  return {
    who: textOf(...at("who")),
    request: {
      principal: cast.principal(...at("who")),
      action: choiceOf(...at("may"), ACTIONS),
      resource: resourceOf(row, place, cast),
      context: contextOf(...at("with"), cast),
    },
    expected: expectationOf(at),
  };
}

function expectationOf(at: (name: string) => [unknown, string]): TableExpectation {
  return {
    kind: choiceOf(...at("is"), ["allow", "deny"]),
    policies: optional(...at("by"), policiesOf),
    because: optional(...at("because"), textOf),
  };
}

/** As decisions name them: sorted. */
function policiesOf(json: unknown, place: string): readonly string[] {
  return typeof json === "string" ? [json] : [...listOf(json, place, textOf)].sort();
}
