const ROWS: readonly (readonly string[])[] = [
  ["█▀█", "▀█ ", "▀▀█", "▀▀█", "█ █", "█▀▀", "█▀▀", "▀▀█", "█▀█", "█▀█"],
  ["█ █", " █ ", "█▀▀", " ▀█", "▀▀█", "▀▀█", "█▀█", "  █", "█▀█", "▀▀█"],
  ["▀▀▀", "▀▀▀", "▀▀▀", "▀▀▀", "  ▀", "▀▀▀", "▀▀▀", "  ▀", "▀▀▀", "▀▀▀"],
];

/** Three lines that draw the digits of `code` in groups of three, readable across a desk. */
export function bigDigits(code: string): string {
  return ROWS.map((row) =>
    Array.from(
      code,
      (digit, index) => `${index > 0 && index % 3 === 0 ? "   " : ""}${row[Number(digit)] ?? ""}`,
    )
      .join(" ")
      .trimEnd(),
  ).join("\n");
}
