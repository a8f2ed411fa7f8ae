import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type Authorizer, type Explanation, loadDefaultSchema } from "../../src/authz/index.ts";
import { isGatehouseError } from "../../src/core/index.ts";
import { runs, times } from "../support/effort.ts";
import { asked, policy } from "./arbitrary.ts";
import { type BareAnswer, bareCedar } from "./bare-cedar.ts";
import { authorizerOf, sourcesOf } from "./fixture.ts";

const SETS = { short: 15, long: 400 };

describe("an authorizer under any policies, asked anything", {
  timeout: times({ short: 60_000, long: 900_000 }),
}, async () => {
  let schema: string;
  let authorizer: Authorizer;

  beforeAll(async () => {
    schema = await loadDefaultSchema();
    authorizer = await authorizerOf({});
  });

  /** Puts those of the texts in force that the schema lets through, which nearly all are. */
  async function load(texts: readonly string[]): Promise<Readonly<Record<string, string>>> {
    const all = Object.fromEntries(texts.map((text, index) => [`p${index}`, text]));
    if (await isLoaded(all)) return all;
    const sound: Record<string, string> = {};
    for (const [id, text] of Object.entries(all)) if (await isLoaded({ [id]: text })) sound[id] = text;
    authorizer.replace(await authorizer.candidate(sourcesOf(sound)));
    return sound;
  }

  async function isLoaded(policies: Readonly<Record<string, string>>): Promise<boolean> {
    try {
      authorizer.replace(await authorizer.candidate(sourcesOf(policies)));
      return true;
    } catch (error) {
      if (!isGatehouseError(error, "authz.invalid-policy")) throw error;
      return false;
    }
  }

  it("never allows what Cedar denies, and never where a policy could not be evaluated", async () => {
    const seen = { allowed: 0, denied: 0, errors: 0, overruled: 0 };
    const sets = fc.tuple(
      fc.array(policy, { minLength: 1, maxLength: 5 }),
      fc.array(asked, { minLength: 8, maxLength: 20 }),
    );
    await fc.assert(
      fc.asyncProperty(sets, async ([texts, requests]) => {
        const ask = bareCedar(schema, await load(texts));
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
      runs(SETS),
    );
    expect(Math.min(...Object.values(seen))).toBeGreaterThan(0);
  });

  it("names clauses that hold where a policy applied, and one that does not hold where a permit did not apply", async () => {
    const seen = { held: 0, failed: 0 };
    const sets = fc.tuple(policy, fc.array(asked, { minLength: 8, maxLength: 20 }));
    await fc.assert(
      fc.asyncProperty(sets, async ([text, requests]) => {
        await load([text]);
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
      runs({ short: 2 * SETS.short, long: 2 * SETS.long }),
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
