import { systemClock } from "../core/index.ts";
import type { Context } from "./context.ts";
import { shortId } from "./device-document.ts";
import { showCountdown } from "./pairing-card.ts";
import { grouped, roughDuration } from "./words.ts";

/** Tells the person who joins that somebody at the gatehouse is asked, and by what to know this device there. */
export class ApprovalWait implements Disposable {
  /** Set before `show`. */
  deviceId = "";
  readonly #context: Context;
  #countdown: Disposable | undefined;

  constructor(context: Context) {
    this.#context = context;
  }

  /** The answer takes `pendingMs` at most. */
  show(pendingMs: number): void {
    this[Symbol.dispose]();
    const { output } = this.#context;
    const longest = roughDuration(pendingMs + 999);
    output.note(`the code was right; waiting for somebody at the gatehouse to approve, up to ${longest}`);
    output.note(`there this device's id begins with: ${grouped(shortId(this.deviceId))}`);
    const expiresAt = systemClock.now() + pendingMs;
    this.#countdown = showCountdown(output, { clock: systemClock, expiresAt, words: "waiting for a yes …" });
  }

  [Symbol.dispose](): void {
    this.#countdown?.[Symbol.dispose]();
    this.#countdown = undefined;
  }
}
