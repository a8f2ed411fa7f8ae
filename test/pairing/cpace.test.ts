import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { concat, fromHex, hex, type Random, utf8 } from "../../src/core/index.ts";
import { ristretto255, sha512 } from "../../src/crypto/index.ts";
import {
  type CpaceInput,
  type CpaceRole,
  cpaceGenerator,
  generatorString,
  lvCat,
  startCpace,
} from "../../src/pairing/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";

/**
 * Test vectors for ristretto255 and SHA-512 of draft-irtf-cfrg-cpace (appendix "Test vector for CPace using group
 * ristretto255 and hash SHA-512"; testvectors.json, "G_Coffee25519" and "G_Coffee25519_points").
 */
const DRAFT = {
  secret: utf8("Password"),
  channel: fromHex("0b415f696e69746961746f720b425f726573706f6e646572"),
  session: fromHex("7e4b4791d6a8ef019b936c79fb7f2c57"),
  generatorString:
    "11435061636552697374726574746f3235350850617373776f726464" +
    "00".repeat(100) +
    "180b415f696e69746961746f720b425f726573706f6e646572107e4b4791d6a8ef019b936c79fb7f2c57",
  generatorHash:
    "da6d3ddc8802fca9058755ffd3ebde08a9c2c74945901a258482a288b6663af0" +
    "6bf645c93cd1c51512307199c80e84908916d983b34af77205f90851a657ee27",
  generator: "222b6b195fe84b1652badb6f6a3ae3d24341e7306967f0b8115b40d5698c7e56",
  ya: "da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08",
  Ya: "d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157",
  yb: "d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d",
  Yb: "3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258",
  K: "80b69a8a76457ab6a4d7f887a4bf6b55a2f80ac19c333f917a05fc9887c8b40f",
  transcript:
    "20d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b915703414461" +
    "203ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f725803414462",
  isk:
    "b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd" +
    "2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447",
  sessionOutput:
    "bb1c449b35f0ea79a65c209f329a693d475e0ce2387bed9fe4b78f60b2a27c21" +
    "9813fb2cfe175ef40d2222d9261e66da7d78f7c55a303b1b8611dcdfab880c47",
  point: {
    s: "7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05",
    X: "2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c",
    product: "7c13645fe790a468f62c39beb7388e541d8405d1ade69d1778c5fe3e7f6b600e",
    invalid: ["2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c", "00".repeat(32)],
  },
};

/** Makes `ristretto255.randomScalar` draw exactly this scalar: it reduces 64 little-endian bytes and adds one. */
function drawing(scalar: string): Random {
  const bytes = fromHex(scalar);
  bytes[0] = (bytes[0] ?? 0) - 1;
  return { bytes: (length) => concat(bytes, new Uint8Array(length - bytes.length)) };
}

const draftRun = (role: CpaceRole, scalar: string) =>
  startCpace({
    ...DRAFT,
    role,
    associatedData: utf8(role === "initiator" ? "ADa" : "ADb"),
    random: drawing(scalar),
  });

describe("CPace against the draft's vectors", () => {
  it("prepends lengths in LEB128", () => {
    const upTo = (length: number) => Uint8Array.from({ length }, (_, index) => index);
    expect(hex(lvCat(utf8("")))).toBe("00");
    expect(hex(lvCat(utf8("1234")))).toBe("0431323334");
    expect(hex(lvCat(upTo(127)))).toBe(`7f${hex(upTo(127))}`);
    expect(hex(lvCat(upTo(128)))).toBe(`8001${hex(upTo(128))}`);
    expect(hex(lvCat(utf8("1234"), utf8("5"), utf8(""), utf8("678")))).toBe("043132333401350003363738");
  });

  it("orders a transcript as initiator, then responder", () => {
    const first = concat(lvCat(utf8("123"), utf8("PartyA")), lvCat(utf8("234"), utf8("PartyB")));
    expect(hex(first)).toBe("03313233065061727479410332333406506172747942");
    const second = concat(lvCat(utf8("3456"), utf8("PartyA")), lvCat(utf8("2345"), utf8("PartyB")));
    expect(hex(second)).toBe("043334353606506172747941043233343506506172747942");
  });

  it("derives the generator", () => {
    expect(hex(generatorString(DRAFT))).toBe(DRAFT.generatorString);
    expect(hex(sha512(generatorString(DRAFT)))).toBe(DRAFT.generatorHash);
    expect(hex(cpaceGenerator(DRAFT))).toBe(DRAFT.generator);
  });

  it("makes both shares", () => {
    expect(hex(draftRun("initiator", DRAFT.ya).share)).toBe(DRAFT.Ya);
    expect(hex(draftRun("responder", DRAFT.yb).share)).toBe(DRAFT.Yb);
  });

  it("reaches the secret point from both sides", () => {
    const product = (point: string, scalar: string) =>
      hex(ristretto255.multiply(fromHex(point), fromHex(scalar)) ?? new Uint8Array(0));
    expect(product(DRAFT.Yb, DRAFT.ya)).toBe(DRAFT.K);
    expect(product(DRAFT.Ya, DRAFT.yb)).toBe(DRAFT.K);
  });

  it("hashes transcript and secret point to the initiator–responder key, on both sides", () => {
    const a = draftRun("initiator", DRAFT.ya).finish({
      share: fromHex(DRAFT.Yb),
      associatedData: utf8("ADb"),
    });
    const b = draftRun("responder", DRAFT.yb).finish({
      share: fromHex(DRAFT.Ya),
      associatedData: utf8("ADa"),
    });
    expect(hex(a?.isk ?? new Uint8Array(0))).toBe(DRAFT.isk);
    expect(hex(b?.isk ?? new Uint8Array(0))).toBe(DRAFT.isk);
    const transcript = concat(lvCat(fromHex(DRAFT.Ya), utf8("ADa")), lvCat(fromHex(DRAFT.Yb), utf8("ADb")));
    expect(hex(transcript)).toBe(DRAFT.transcript);
    expect(hex(sha512(utf8("CPaceSidOutput"), transcript))).toBe(DRAFT.sessionOutput);
  });

  it("multiplies the draft's valid point", () => {
    const { s, X, product } = DRAFT.point;
    expect(hex(ristretto255.multiply(fromHex(X), fromHex(s)) ?? new Uint8Array(0))).toBe(product);
  });

  it("aborts on the draft's invalid point and on the identity, whichever side meets them", () => {
    for (const invalid of DRAFT.point.invalid.map(fromHex)) {
      expect(ristretto255.multiply(invalid, fromHex(DRAFT.point.s))).toBeUndefined();
      const peer = { share: invalid, associatedData: utf8("ADx") };
      expect(draftRun("initiator", DRAFT.point.s).finish(peer)).toBeUndefined();
      expect(draftRun("responder", DRAFT.point.s).finish(peer)).toBeUndefined();
    }
  });
});

describe("a CPace run", () => {
  const base = { secret: utf8("123456"), channel: utf8("channel"), session: utf8("session") };
  const dataOf = (role: CpaceRole) => utf8(role);

  function meet(a: Partial<CpaceInput>, b: Partial<CpaceInput>, seed: number) {
    const random = new SeededRandom(seed);
    const party = (role: CpaceRole, changed: Partial<CpaceInput>) =>
      startCpace({ ...base, role, associatedData: dataOf(role), random, ...changed });
    const [initiator, responder] = [party("initiator", a), party("responder", b)];
    const keyA = initiator.finish({ share: responder.share, associatedData: dataOf("responder") });
    const keyB = responder.finish({ share: initiator.share, associatedData: dataOf("initiator") });
    if (keyA === undefined || keyB === undefined) throw new Error("no key");
    return { keyA, keyB };
  }

  it("confirms on both sides when every input is the same", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const { keyA, keyB } = meet({}, {}, seed);
        expect(keyA.isk).toEqual(keyB.isk);
        expect(keyA.isPeerTag(keyB.tag)).toBe(true);
        expect(keyB.isPeerTag(keyA.tag)).toBe(true);
      }),
      { numRuns: 20 },
    );
  });

  it.each(["secret", "channel", "session"] as const)(
    "confirms on neither side when the %s differs",
    (field) => {
      const { keyA, keyB } = meet({}, { [field]: utf8("other") }, 1);
      expect(keyA.isPeerTag(keyB.tag)).toBe(false);
      expect(keyB.isPeerTag(keyA.tag)).toBe(false);
    },
  );

  it("does not take its own tag back", () => {
    const { keyA, keyB } = meet({}, {}, 2);
    expect(keyA.isPeerTag(keyA.tag)).toBe(false);
    expect(keyB.isPeerTag(keyB.tag)).toBe(false);
  });

  it("aborts when its own share is sent back", () => {
    const run = startCpace({
      ...base,
      role: "initiator",
      associatedData: utf8("x"),
      random: new SeededRandom(3),
    });
    expect(run.finish({ share: run.share, associatedData: utf8("y") })).toBeUndefined();
  });
});
