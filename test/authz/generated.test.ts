import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type Authorizer, type Explanation, loadDefaultSchema } from "../../src/authz/index.ts";
import { isGatehouseError } from "../../src/core/index.ts";
import { times } from "../support/effort.ts";
import { asked, policy } from "./arbitrary.ts";
import { type BareAnswer, bareCedar } from "./bare-cedar.ts";
import { authorizerOf, sourcesOf } from "./fixture.ts";

const SETS = times({ short: 15, long: 400 });

describe("an authorizer under any policies, asked anything", {
  timeout: times({ short: 60_000, long: 900_000 }),
}, () => {
  let schema: string;
  let authorizer: Authorizer;

  beforeAll(async () => {
    schema = await loadDefaultSchema();
    authorizer = await authorizerOf({});
  });

  /** Puts those of the texts in force that the schema lets through, which nearly all are. */
  function load(texts: readonly string[]): Readonly<Record<string, string>> {
    const all = Object.fromEntries(texts.map((text, index) => [`p${index}`, text]));
    if (isLoaded(all)) return all;
    const sound = Object.fromEntries(Object.entries(all).filter(([id, text]) => isLoaded({ [id]: text })));
    authorizer.replace(authorizer.candidate(sourcesOf(sound)));
    return sound;
  }

  function isLoaded(policies: Readonly<Record<string, string>>): boolean {
    try {
      authorizer.replace(authorizer.candidate(sourcesOf(policies)));
      return true;
    } catch (error) {
      if (!isGatehouseError(error, "authz.invalid-policy")) throw error;
      return false;
    }
  }

  it("never allows what Cedar denies, and never where a policy could not be evaluated", () => {
    const seen = { allowed: 0, denied: 0, errors: 0, overruled: 0 };
    const sets = fc.tuple(
      fc.array(policy, { minLength: 1, maxLength: 5 }),
      fc.array(asked, { minLength: 8, maxLength: 20 }),
    );
    fc.assert(
      fc.property(sets, ([texts, requests]) => {
        const ask = bareCedar(schema, load(texts));
        for (const one of requests) {
          const bare = ask(one);
          const decision = authorizer.decide(one);
          expect(decision.kind).toBe(bare.isAllowed && !bare.hasErrors ? "allow" : "deny");
          const { decision: explained } = authorizer.explain(one);
          expect({ ...explained, isMemoised: decision.isMemoised }).toEqual(decision);
          seen.allowed += Number(decision.kind === "allow");
          seen.denied += Number(!bare.isAllowed && !bare.hasErrors);
          seen.errors += Number(bare.hasErrors);
          seen.overruled += Number(bare.isAllowed && bare.hasErrors);
        }
      }),
      { numRuns: SETS },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });

  it("names clauses that hold where a policy applied, and one that does not hold where a permit did not apply", () => {
    const seen = { held: 0, failed: 0 };
    const sets = fc.tuple(policy, fc.array(asked, { minLength: 8, maxLength: 20 }));
    fc.assert(
      fc.property(sets, ([text, requests]) => {
        load([text]);
        for (const one of requests) {
          const explanation = authorizer.explain(one);
          const { held, failed } = clausesIn(explanation);
          const clauses = [...held, ...failed];
          // Each clause as a policy of its own, in Cedar's text as it was shown.
          const ask = bareCedar(
            schema,
            Object.fromEntries(
              clauses.map((clause, index) => [
                index,
                `permit (principal, action, resource) when { ${clause} };`,
              ]),
            ),
          );
          const { policies }: BareAnswer = clauses.length === 0 ? NOTHING : ask(one);
          expect(policies.map(Number).sort((a, b) => a - b)).toEqual(held.map((_, index) => index));
          seen.held += held.length;
          seen.failed += failed.length;
        }
      }),
      { numRuns: SETS * 2 },
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });
});

const NOTHING: BareAnswer = { isAllowed: false, policies: [], hasErrors: false };

function clausesIn({ deciding, nearest }: Explanation): {
  readonly held: readonly string[];
  readonly failed: readonly string[];
} {
  // A clause with a number past 2^53 cannot be shown.
  const shown = (clause: string | undefined): readonly string[] =>
    clause === undefined || clause === "" ? [] : [clause];
  return {
    held: deciding.flatMap(({ held }) => held.flatMap(({ clause }) => shown(clause))),
    failed: nearest.flatMap(({ missing }) => shown(missing.clause)),
  };
}
