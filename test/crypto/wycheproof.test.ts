/**
 * Our own vectors in Wycheproof's format always, and the project's own where a checkout of it lies:
 * `GATEHOUSE_WYCHEPROOF=DIR npx vitest run test/crypto/wycheproof.test.ts`.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, inject, it } from "vitest";
import { judge } from "./wycheproof.ts";
import { parseWycheproof, readWycheproof, type WycheproofVector } from "./wycheproof-files.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where Wycheproof's repository lies, by vitest.config.ts; empty: nowhere. */
    readonly wycheproof: string;
  }
}

const OURS = fileURLToPath(new URL("../vectors/wycheproof", import.meta.url));
const THEIRS = inject("wycheproof");

const failures = (vectors: readonly WycheproofVector[]): readonly string[] =>
  vectors.flatMap((vector) => {
    const failure = judge(vector);
    return failure === undefined ? [] : [`${vector.name}: ${failure}`];
  });

function counts(vectors: readonly WycheproofVector[]): Readonly<Record<string, number>> {
  const counted: Record<string, number> = {};
  for (const { name, result } of vectors) {
    const key = `${name.slice(0, name.indexOf(" "))} ${result}`;
    counted[key] = (counted[key] ?? 0) + 1;
  }
  return counted;
}

describe("the vectors in the folder", () => {
  it.each(THEIRS === "" ? [OURS] : [OURS, THEIRS])("%s all hold, of all four algorithms", async (dir) => {
    const vectors = await readWycheproof(dir);
    expect(failures(vectors)).toEqual([]);
    if (dir === THEIRS) console.info(dir, counts(vectors));
  });
});

describe("the judge", () => {
  it("finds fault with every vector whose result is turned round", async () => {
    const turned = (await readWycheproof(OURS)).flatMap((vector) => {
      if (vector.result === "acceptable") return [];
      return [{ ...vector, result: vector.result === "valid" ? ("invalid" as const) : ("valid" as const) }];
    });
    expect(turned).toHaveLength(150);
    expect(failures(turned)).toHaveLength(150);
  });

  it("finds fault with an acceptable vector that another rule decides", async () => {
    const acceptable = (await readWycheproof(OURS)).filter(({ result }) => result === "acceptable");
    expect(acceptable).toHaveLength(8);
    for (const { claim, ...vector } of acceptable) {
      if (claim.kind !== "xdh") throw new Error("not of X25519");
      const shared = claim.shared.map((byte) => byte ^ 1);
      expect(judge({ ...vector, claim: { ...claim, shared } })).not.toBeUndefined();
      expect(judge({ ...vector, claim, flags: ["Unheard"] })).toBe("no rule for acceptable: Unheard");
    }
  });

  it("reads as many of each kind as were made, secret keys in version 0 alone", async () => {
    const vectors = await readWycheproof(OURS);
    const made = { aead: 16, hkdf: 9, eddsa: 45, xdh: 9 };
    for (const [kind, count] of Object.entries(made)) {
      expect(vectors.filter(({ claim }) => claim.kind === kind)).toHaveLength(2 * count);
    }
    expect(vectors.filter(({ claim }) => claim.kind === "eddsa" && claim.sk !== undefined)).toHaveLength(45);
  });
});

describe("a file without a rule", () => {
  const file = { algorithm: "XDH", schema: "xdh_comp_schema.json", numberOfTests: 1 };
  const test = { tcId: 1, public: "00", private: "00", shared: "00", result: "valid", flags: [] };
  const group = { curve: "curve25519", tests: [test] };
  const parse = (change: object) =>
    parseWycheproof("x/x25519_test.json", { ...file, testGroups: [group], ...change });

  it("is refused, whatever is new in it", () => {
    expect(parse({})).toHaveLength(1);
    expect(() => parse({ algorithm: "EDDSA" })).toThrow("no rule for EDDSA");
    expect(() => parse({ schema: "xdh_comp_schema_v2.json" })).toThrow(
      "no rule for XDH by xdh_comp_schema_v2.json",
    );
    expect(() => parse({ numberOfTests: 2 })).toThrow("1 vectors, not 2");
    expect(() => parse({ testGroups: [{ ...group, curve: "curve448" }] })).toThrow("the curve curve448");
    const odd = { ...test, result: "perhaps" };
    expect(() => parse({ testGroups: [{ ...group, tests: [odd] }] })).toThrow(
      "no rule for the result perhaps",
    );
    expect(() => parseWycheproof("x/x448_test.json", file)).toThrow("no rule for XDH");
  });

  it("is missed when a folder has none", async () => {
    const dir = await mkdtemp(join(tmpdir(), "gatehouse-wycheproof-"));
    try {
      await expect(readWycheproof(dir)).rejects.toThrow("no vectors of aead");
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});
