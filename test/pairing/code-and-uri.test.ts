import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isGatehouseError, systemRandom } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { formatPairingUri, parsePairingCode, parsePairingUri } from "../../src/pairing/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { codeOf } from "./windows.ts";

const codeOfError = (run: () => unknown): string | undefined => {
  try {
    run();
  } catch (error) {
    return isGatehouseError(error) ? error.code : "another error";
  }
  return undefined;
};

describe("a pairing code", () => {
  it.each(["123456", "123 456", " 1 2 3-4 5 6\n", "123–456"])("is read from %j", (text) => {
    expect(parsePairingCode(text)).toBe("123456");
  });

  it.each(["", "12345", "1234567", "12345a", "١٢٣٤٥٦", "123.456", "+123456"])(
    "is not read from %j",
    (text) => {
      expect(codeOfError(() => parsePairingCode(text))).toBe("pairing.bad-code");
    },
  );

  it("skips draws that would make low codes likelier", async () => {
    const draws = [Uint8Array.of(255, 255, 255, 255), Uint8Array.of(0, 0, 0, 7)];
    expect(await codeOf({ bytes: () => draws.shift() ?? new Uint8Array(4) })).toBe("000007");
  });

  it("takes every digit in every place about equally often", async () => {
    const random = new SeededRandom(1);
    const counts = Array.from({ length: 6 }, () => Array.from({ length: 10 }, () => 0));
    for (let drawn = 0; drawn < 10_000; drawn += 1) {
      const digits = await codeOf({ bytes: (length) => random.bytes(length) });
      for (const [place, digit] of digits.split("").entries()) {
        const row = counts[place] ?? [];
        row[Number(digit)] = (row[Number(digit)] ?? 0) + 1;
      }
    }
    // Chi-squared with 9 degrees of freedom stays below 33.7 in 9 999 of 10 000 runs.
    for (const row of counts) {
      expect(row.reduce((sum, count) => sum + (count - 1_000) ** 2 / 1_000, 0)).toBeLessThan(33.7);
    }
  });
});

describe("a pairing URI", () => {
  const gatehouseId = DeviceIdentity.generate(systemRandom).id;

  it("says the same after formatting and parsing", () => {
    const address = fc.oneof(
      fc.tuple(fc.domain(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `${host}:${port}`),
      fc.tuple(fc.ipV4(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `${host}:${port}`),
      fc.tuple(fc.ipV6(), fc.integer({ min: 1, max: 65_535 })).map(([host, port]) => `[${host}]:${port}`),
    );
    fc.assert(
      fc.property(address, fc.uint8Array({ minLength: 16, maxLength: 16 }), (where, secret) => {
        const uri = { address: where, gatehouseId, secret };
        expect(parsePairingUri(formatPairingUri(uri))).toEqual(uri);
      }),
    );
  });

  const good = formatPairingUri({ address: "127.0.0.1:7443", gatehouseId, secret: new Uint8Array(16) });

  it("is refused when cut anywhere, or followed by anything", () => {
    for (let length = 0; length < good.length; length += 1) {
      expect(codeOfError(() => parsePairingUri(good.slice(0, length)))).toBe("pairing.bad-uri");
    }
    expect(codeOfError(() => parsePairingUri(`${good}A`))).toBe("pairing.bad-uri");
    expect(codeOfError(() => parsePairingUri(`${good}\n`))).toBe("pairing.bad-uri");
  });

  it.each([
    ["another scheme", good.replace("gatehouse:", "https:")],
    ["a second spelling of its secret", `${good.slice(0, -1)}B`],
    ["a port above 65535", good.replace(":7443", ":70000")],
    ["no port", good.replace(":7443", "")],
    ["a user name", good.replace("127", "me@127")],
    ["a query", good.replace("#", "?x=1#")],
    [
      "a mistyped id",
      good.replace(gatehouseId, `${gatehouseId.startsWith("a") ? "b" : "a"}${gatehouseId.slice(1)}`),
    ],
  ])("is refused with %s", (_what, text) => {
    expect(codeOfError(() => parsePairingUri(text))).toBe("pairing.bad-uri");
  });
});
