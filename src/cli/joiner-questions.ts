import { type Clock, isGatehouseError, systemClock } from "../core/index.ts";
import type { Context } from "./context.ts";
import { Interrupted } from "./failure.ts";
import { confirm } from "./input.ts";
import { describeJoiner, type Joiner } from "./joiner.ts";

export interface JoinerQuestionsParts {
  readonly context: Context;
  /** Tells the gatehouse the answer. */
  readonly decide: (deviceId: string, approve: boolean) => Promise<unknown>;
  readonly clock?: Clock;
}

/** Puts joiners to the person at the terminal, one after another, each for as long as it waits. */
export class JoinerQuestions implements AsyncDisposable {
  readonly #parts: JoinerQuestionsParts;
  readonly #clock: Clock;
  readonly #open = new Map<string, AbortController>();
  readonly #givenUp = new AbortController();
  #queue: Promise<void> = Promise.resolve();
  /** Whose question stands on the terminal's last line. */
  #asking: string | undefined;

  constructor(parts: JoinerQuestionsParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
  }

  /** Aborts, with the reason, when the person does not want to be asked any more, or something broke. */
  get givenUp(): AbortSignal {
    return this.#givenUp.signal;
  }

  ask(joiner: Joiner): void {
    const settled = new AbortController();
    this.#open.set(joiner.id, settled);
    this.#queue = this.#queue
      .then(() => this.#answer(joiner, settled.signal))
      .catch((failure: unknown) => this.#givenUp.abort(failure));
  }

  /** It was answered elsewhere, or is of no use any more. */
  settle(id: string): void {
    if (this.#asking === id) this.#parts.context.output.prompt("\n");
    this.#asking = this.#asking === id ? undefined : this.#asking;
    this.#open.get(id)?.abort();
    this.#open.delete(id);
  }

  /** Takes every question back, and waits until the gatehouse has heard the answers that were given. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of [...this.#open.keys()]) this.settle(id);
    await this.#queue;
  }

  async #answer(joiner: Joiner, settled: AbortSignal): Promise<void> {
    const { context } = this.#parts;
    const leftMs = joiner.expiresAt - this.#clock.now();
    if (settled.aborted || this.givenUp.aborted || leftMs <= 0) return;
    using _timer = this.#clock.setTimer(leftMs, () => this.settle(joiner.id));
    const { output } = context;
    const about = describeJoiner(joiner, { nowMs: this.#clock.now(), style: output.noteStyle });
    output.prompt(`\nSomebody has proven the code and waits:\n${about}\n`);
    try {
      const isYes = await this.#confirm(joiner, AbortSignal.any([context.signal, settled]));
      await this.#parts.decide(joiner.id, isYes);
    } catch (failure) {
      if (!settled.aborted || context.signal.aborted) this.#complain(failure);
    }
  }

  async #confirm({ id }: Joiner, signal: AbortSignal): Promise<boolean> {
    this.#asking = id;
    try {
      const isYes = await confirm({ ...this.#parts.context, signal }, "Let it in?");
      this.#open.delete(id);
      return isYes;
    } finally {
      this.#asking = undefined;
    }
  }

  /** What the gatehouse does not want is no reason to leave the window. */
  #complain(failure: unknown): void {
    if (failure instanceof Interrupted || !isGatehouseError(failure)) throw failure;
    this.#parts.context.output.alert(failure.message);
    if (failure.hint !== undefined) this.#parts.context.output.note(failure.hint);
  }
}
