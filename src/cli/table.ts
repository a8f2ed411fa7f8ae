import { printable, type Style } from "./style.ts";

/** Rows under dim headings, each column as wide as its widest cell; every cell is made printable. */
export function table(
  headings: readonly string[],
  rows: readonly (readonly string[])[],
  style: Style,
): string {
  const cells = rows.map((row) => row.map(printable));
  const widths = headings.map((heading, column) =>
    Math.max(width(heading), ...cells.map((row) => width(row[column] ?? ""))),
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell + " ".repeat((widths[column] ?? 0) - width(cell)))
      .join("  ")
      .trimEnd();
  return [style.dim(line(headings.map((heading) => heading.toUpperCase()))), ...cells.map(line)].join("\n");
}

/** `label  value` lines with the values in one column; values are made printable. */
export function facts(pairs: readonly (readonly [label: string, value: string])[], style: Style): string {
  const labelWidth = Math.max(...pairs.map(([label]) => width(label)));
  return pairs
    .map(([label, value]) => `${style.dim(label.padEnd(labelWidth))}  ${printable(value)}`)
    .join("\n");
}

/** Code points: close enough for names and paths. */
function width(text: string): number {
  return Array.from(text).length;
}
