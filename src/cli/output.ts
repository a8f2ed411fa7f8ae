import { failureDocument } from "./failure.ts";
import type { Sink } from "./io.ts";
import { createStyle, printable, type Style } from "./style.ts";

export interface OutputOptions {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isJson: boolean;
  readonly isQuiet: boolean;
  /** False for `--no-color`. */
  readonly mayColor: boolean;
}

/** Results go to standard output; notes, prompts and errors for people go to standard error. */
export class Output {
  readonly isJson: boolean;
  /** For what goes to standard output. */
  readonly style: Style;
  /** For what goes to standard error. */
  readonly noteStyle: Style;
  readonly #stdout: Sink;
  readonly #stderr: Sink;
  readonly #isQuiet: boolean;
  #hasProgress = false;
  #holds = 0;

  constructor({ stdout, stderr, env, isJson, isQuiet, mayColor }: OutputOptions) {
    const wantsColor = mayColor && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
    this.isJson = isJson;
    this.style = createStyle(wantsColor && stdout.isTTY === true);
    this.noteStyle = createStyle(wantsColor && stderr.isTTY === true);
    this.#stdout = stdout;
    this.#stderr = stderr;
    this.#isQuiet = isQuiet;
  }

  /** True when a person watches standard error: progress may be redrawn there. */
  get isWatched(): boolean {
    return this.#stderr.isTTY === true && !this.#isQuiet && !this.isJson;
  }

  /** What was asked for: `document` on one line with `--json`, else the words. */
  result(document: object, words: () => string): void {
    this.progress("");
    this.#stdout.write(`${this.isJson ? JSON.stringify(document) : words()}\n`);
  }

  /** That something was done: like `result`, but `--quiet` drops the words. */
  done(document: object, words: () => string): void {
    if (this.isJson || !this.#isQuiet) this.result(document, words);
  }

  /** Exactly these bytes and nothing else. */
  bytes(bytes: Uint8Array): void {
    this.#stdout.write(bytes);
  }

  /** For the person at the terminal; `--quiet` drops it. */
  note(words: string): void {
    this.progress("");
    if (!this.#isQuiet) this.#stderr.write(`${words}\n`);
  }

  /** Without a line end, whether quiet or not: the program waits for an answer. */
  prompt(words: string): void {
    this.#stderr.write(words);
  }

  /** Of danger: in bold red where there are colours, whether quiet or not. With `--json` the documents say it. */
  alert(words: string): void {
    this.progress("");
    const style = this.noteStyle;
    if (!this.isJson) this.#stderr.write(`${style.bold(style.red(words))}\n`);
  }

  /** Until it is disposed no progress is drawn: somebody is typing on that line. */
  holdProgress(): Disposable {
    this.progress("");
    this.#holds += 1;
    return {
      [Symbol.dispose]: () => {
        this.#holds -= 1;
      },
    };
  }

  /** Redraws the last line of a watched terminal; an empty text clears it, and so does any other output. */
  progress(words: string): void {
    if (this.#holds > 0) return;
    if (this.isWatched && (this.#hasProgress || words !== "")) this.#stderr.write(`\r\u001b[2K${words}`);
    this.#hasProgress = words !== "";
  }

  failure(error: unknown): void {
    this.progress("");
    const document = failureDocument(error);
    if (this.isJson) {
      this.#stdout.write(`${JSON.stringify(document)}\n`);
      return;
    }
    const { message, hint } = document.error;
    this.#stderr.write(`${this.noteStyle.red("error:")} ${printable(message)}\n`);
    if (hint !== undefined) this.#stderr.write(`${this.noteStyle.dim("hint:")} ${printable(hint)}\n`);
  }
}
