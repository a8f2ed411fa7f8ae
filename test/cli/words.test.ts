import { describe, expect, it } from "vitest";
import { bigDigits } from "../../src/cli/big-digits.ts";
import { createStyle, printable } from "../../src/cli/style.ts";
import { facts, table } from "../../src/cli/table.ts";
import { byteSize, countdown, grouped, plural, relativeDate, roughDuration } from "../../src/cli/words.ts";

const plain = createStyle(false);

describe("words", () => {
  it.each([
    [0, "a moment"],
    [999, "a moment"],
    [1_000, "1 second"],
    [119_999, "1 minute"],
    [7_200_000, "2 hours"],
    [30 * 86_400_000, "30 days"],
  ])("%d ms are called %s", (ms, words) => {
    expect(roughDuration(ms)).toBe(words);
  });

  it("tell a date by its distance and in full, before and after now", () => {
    const now = new Date(2026, 0, 2, 12, 5).getTime();
    expect(relativeDate(now - 180_000, now)).toBe("3 minutes ago (2026-01-02 12:02)");
    expect(relativeDate(now + 86_400_000, now)).toBe("in 1 day (2026-01-03 12:05)");
    expect(relativeDate(0, now)).toBe("never");
  });

  it("count down to zero and not below", () => {
    expect([65_000, 64_001, 1, 0, -5].map(countdown)).toEqual(["1:05", "1:05", "0:01", "0:00", "0:00"]);
  });

  it("size, count and group", () => {
    expect([0, 1_023, 1_536, 1_048_576].map(byteSize)).toEqual(["0 B", "1023 B", "1.5 KiB", "1.0 MiB"]);
    expect([plural(1, "device"), plural(2, "device")]).toEqual(["1 device", "2 devices"]);
    expect(grouped("3f2a91c0d")).toBe("3f2a 91c0 d");
  });
});

describe("what another machine chose", () => {
  it("cannot drive the terminal", () => {
    expect(printable("\u001b[2Jhi\r\n\u202egnp\u200b")).toBe("\\u{1b}[2Jhi\\u{d}\\u{a}\\u{202e}gnp\\u{200b}");
    expect(printable("Käthes Büro 東京")).toBe("Käthes Büro 東京");
  });

  it("is made printable in tables and facts", () => {
    expect(table(["name"], [["\u0007"]], plain)).toBe("NAME\n\\u{7}");
    expect(facts([["name", "\u0007"]], plain)).toBe("name  \\u{7}");
  });
});

describe("a table", () => {
  it("aligns its columns and leaves no blanks at the ends", () => {
    const rows = [
      ["shared/db", "3", "x"],
      ["é", "12", ""],
    ];
    expect(table(["path", "version", "by"], rows, plain).split("\n")).toEqual([
      "PATH       VERSION  BY",
      "shared/db  3        x",
      "é          12",
    ]);
  });
});

describe("big digits", () => {
  it("draw every digit differently, three by three", () => {
    const drawings = Array.from({ length: 10 }, (_, digit) => bigDigits(String(digit)));
    expect(new Set(drawings).size).toBe(10);
    expect(bigDigits("000000").split("\n")[2]).toBe("▀▀▀ ▀▀▀ ▀▀▀    ▀▀▀ ▀▀▀ ▀▀▀");
  });
});
