/** docs/protocol.md, where it says what the code says too. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ERROR_CODES, LIMITS, STATUS } from "../../src/core/index.ts";
import { CLOSE_CODES } from "../../src/quic/close-codes.ts";
import { RESET } from "../../src/rpc/index.ts";
import type { FrameVectors } from "../vectors/make-frames.ts";

const read = (path: string): string => readFileSync(fileURLToPath(new URL(path, import.meta.url)), "utf8");
const text = read("../../docs/protocol.md");
const vectors = JSON.parse(read("../vectors/frames.json")) as FrameVectors;

/** The cells of the table behind a mark, without its head; back-ticks are taken off. */
function tableBehind(mark: string): readonly (readonly string[])[] {
  const [, after] = text.split(`<!-- ${mark} -->\n\n`);
  if (after === undefined) throw new Error(`there is no table behind ${mark}`);
  const [table = ""] = after.split("\n\n");
  const [, , ...rows] = table.trim().split("\n");
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

/** As many columns of it as the code knows. */
function columns(mark: string, count: number): readonly (readonly string[])[] {
  return tableBehind(mark).map((row) => row.slice(0, count));
}

describe("docs/protocol.md", () => {
  it("has every error code with its status, in the order of the code's own table", () => {
    expect(tableBehind("error codes")).toEqual(
      Object.entries(ERROR_CODES).map(([code, row]) => [
        ...[code, row.status.toUpperCase().replaceAll("-", "_"), String(STATUS[row.status])],
        "retryable" in row ? "may succeed" : "",
      ]),
    );
  });

  it("has every close code with its name and error", () => {
    expect(columns("close codes", 3)).toEqual(
      Object.entries(CLOSE_CODES).map(([name, { number, error }]) => [
        ...[`0x${number.toString(16).padStart(2, "0")}`, name, error],
      ]),
    );
  });

  it("has every reset code", () => {
    expect(columns("reset codes", 2)).toEqual(
      Object.entries(RESET).map(([name, number]) => [String(number), name]),
    );
  });

  it("has limits as they are", () => {
    const limits: Readonly<Record<string, number>> = LIMITS;
    const said = columns("limits", 2);
    expect(said.length).toBeGreaterThan(10);
    expect(said).toEqual(said.map(([name = ""]) => [name, String(limits[name])]));
  });

  it.each(["caller", "gatehouse"] as const)("shows all that the %s says in the first vector", (side) => {
    const [first] = vectors.calls;
    const shown = columns(`vector: ${first?.name}, ${side}`, 1).flat().join("");
    expect(shown.replaceAll(" ", "")).toBe(first?.[side]);
  });
});
