import type { Clock } from "../core/index.ts";
import { bigDigits } from "./big-digits.ts";
import type { Output } from "./output.ts";
import type { Style } from "./style.ts";
import { countdown, roughDuration } from "./words.ts";

/** An open pairing window, as the daemon told it. */
export interface OpenWindow {
  /** Six digits; none in a window by URI only. */
  readonly code: string | undefined;
  readonly uri: string;
  /** Unix milliseconds. */
  readonly expiresAt: number;
}

export interface PairingCardOptions {
  readonly window: OpenWindow;
  readonly nowMs: number;
  /** `HOST:PORT` that the other device dials. */
  readonly address: string;
  readonly invocation: string;
  readonly style: Style;
}

/** QR, code and the line to type elsewhere; what matters most comes last, where the terminal stands. */
export async function pairingCard({
  window,
  nowMs,
  address,
  invocation,
  style,
}: PairingCardOptions): Promise<string> {
  const { code, uri, expiresAt } = window;
  const lifetime = roughDuration(expiresAt - nowMs + 999);
  const { toString: drawQr } = await import("qrcode");
  const qr = await drawQr(uri, { type: "utf8", errorCorrectionLevel: "L", margin: 2 });
  const target = code === undefined ? `'${uri}'` : `${address} --code ${code}`;
  return [
    `Pair one device within ${lifetime}. Scan this:`,
    "",
    indent(onPaper(qr, style)),
    "",
    indent(style.dim(uri)),
    "",
    ...codeBlock(code, style),
    "On the other device, type:",
    "",
    indent(style.bold(`${invocation} pair join ${target}`)),
    ...localHint(address, style),
  ].join("\n");
}

function codeBlock(code: string | undefined, style: Style): readonly string[] {
  if (code === undefined) return ["There is no code: this window opens by its URI alone.", ""];
  const digits = style.isColored ? style.bold(bigDigits(code)) : `${code.slice(0, 3)} ${code.slice(3)}`;
  return ["or enter this code, which takes one guess:", "", indent(digits), ""];
}

/** Redraws `words` and what is left each second on a watched terminal; disposing it clears the line. */
export function showCountdown(
  output: Output,
  { clock, expiresAt, words }: { readonly clock: Clock; readonly expiresAt: number; readonly words: string },
): Disposable {
  let timer: Disposable | undefined;
  const draw = (): void => {
    output.progress(output.noteStyle.dim(`${words} ${countdown(expiresAt - clock.now())}`));
    timer = clock.setTimer(1_000, draw);
  };
  if (output.isWatched) draw();
  return {
    [Symbol.dispose]: () => {
      timer?.[Symbol.dispose]();
      output.progress("");
    },
  };
}

function localHint(address: string, style: Style): readonly string[] {
  if (!/^(127\.|\[::1\]|localhost)/.test(address)) return [];
  const here = "This address answers on this machine only; serve with --listen HOST:PORT for others.";
  const try_ = "To try it here, give the second device a home of its own: --home DIR.";
  return ["", style.dim(here), style.dim(try_)];
}

function indent(block: string): string {
  return block.replace(/^/gm, "    ");
}

/** Line by line, so that the indent keeps the terminal's own colours. */
function onPaper(qr: string, style: Style): string {
  return qr
    .replace(/\n+$/, "")
    .split("\n")
    .map((line) => style.paper(line))
    .join("\n");
}
