/** Policies that are tried where no gatehouse is needed: against the schema alone, or by a table of decisions. */
import {
  Authorizer,
  checkPolicies,
  loadDefaultSchema,
  type PolicyFinding,
  type PolicySource,
  parsePolicyTable,
  runPolicyTable,
  type TableResult,
} from "../authz/index.ts";
import { GatehouseError } from "../core/index.ts";
import { resourceName } from "../services/index.ts";

/** One line of a table that was tried, in words. */
export interface TriedRow {
  readonly row: string;
  readonly expected: string;
  readonly actual: string;
  readonly passed: boolean;
  /** How the decision came about; a line each. */
  readonly why: readonly string[];
}

/** All that is wrong or doubtful with them, the gravest first. */
export async function checkPolicyTexts(sources: readonly PolicySource[]): Promise<readonly PolicyFinding[]> {
  return checkPolicies({ schema: await loadDefaultSchema(), sources });
}

/** @throws usage.bad-argument for a table that is none, authz.invalid-policy */
export async function testPolicyTexts(
  table: string,
  sources: readonly PolicySource[],
): Promise<readonly TriedRow[]> {
  const rows = parsePolicyTable(parse(table));
  const authorizer = await Authorizer.open({ schema: await loadDefaultSchema(), policies: sources });
  return runPolicyTable(rows, authorizer).map(tried);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new GatehouseError("usage.bad-argument", "the table is not JSON", {
      hint: "compare it with the table that gatehouse comes with, schemas/cedar/default.test.json",
    });
  }
}

function tried({ index, who, request, expected, actual, passed, explanation }: TableResult): TriedRow {
  const { action, resource } = request;
  return {
    ...{ row: `decisions[${index}]: ${who} ${action} ${resourceName(resource)}`, passed },
    ...{ expected: words(expected), actual: words(actual), why: [...explanation.words] },
  };
}

function words({
  kind,
  policies,
  because,
}: {
  readonly kind: string;
  readonly policies?: readonly string[] | undefined;
  readonly because?: string | undefined;
}): string {
  return [
    kind,
    ...(policies === undefined ? [] : [`by ${policies.length === 0 ? "no policy" : policies.join(", ")}`]),
    ...(because === undefined ? [] : [`because ${JSON.stringify(because)}`]),
  ].join(" ");
}
