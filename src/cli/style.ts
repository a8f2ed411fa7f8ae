/** Terminal attributes, or none of them. */
export interface Style {
  readonly isColored: boolean;
  bold(text: string): string;
  dim(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  /** Black on white whatever the theme: a QR code in inverse is unreadable to some cameras. */
  paper(text: string): string;
}

export function createStyle(isColored: boolean): Style {
  const wrap = (open: string, close: string) => (text: string) =>
    isColored ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    isColored,
    bold: wrap("1", "22"),
    dim: wrap("2", "22"),
    red: wrap("31", "39"),
    green: wrap("32", "39"),
    yellow: wrap("33", "39"),
    paper: wrap("38;5;16;48;5;231", "39;49"),
  };
}

/**
 * `text` with control, bidirectional and other invisible characters shown as `\u{…}`:
 * names come from other machines and must not drive this terminal.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\u2028\u2029]/gu, (character) => {
    return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
  });
}
