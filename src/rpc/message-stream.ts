/** What a stream of messages asks of the call that feeds it. */
export interface MessageSource {
  /** The consumer waits: deliver, or let the transport deliver. */
  demand(): void;
  /** The consumer has left early. */
  abandon(): void;
}

interface Waiter<Message> {
  readonly resolve: (result: IteratorResult<Message, undefined>) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Messages for one consumer, one at a time: nothing is decoded before it is asked for, so what a fast sender
 * can pile up is bytes of the stream's window and not objects.
 */
export class MessageStream<Message> implements AsyncIterableIterator<Message, undefined> {
  readonly #source: MessageSource;
  #waiter: Waiter<Message> | undefined;
  #end: { readonly error: unknown } | undefined;

  constructor(source: MessageSource) {
    this.#source = source;
  }

  get isWanting(): boolean {
    return this.#waiter !== undefined;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** @throws TypeError when the previous `next` has not been answered yet. */
  next(): Promise<IteratorResult<Message, undefined>> {
    if (this.#waiter !== undefined) throw new TypeError("MessageStream: one next() at a time");
    if (this.#end !== undefined) return this.#ended(this.#end);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
      this.#source.demand();
    });
  }

  return(): Promise<IteratorResult<Message, undefined>> {
    if (this.#end === undefined) {
      this.finish(undefined);
      this.#source.abandon();
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Only while `isWanting`. */
  deliver(message: Message): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    waiter?.resolve({ done: false, value: message });
  }

  /** The stream ends, with an error that the consumer's next step throws once, or without. */
  finish(error: unknown): void {
    if (this.#end !== undefined) return;
    this.#end = { error };
    const waiter = this.#waiter;
    this.#waiter = undefined;
    if (waiter !== undefined) this.#ended(this.#end).then(waiter.resolve, waiter.reject);
  }

  async #ended(end: { readonly error: unknown }): Promise<IteratorResult<Message, undefined>> {
    this.#end = { error: undefined };
    if (end.error !== undefined) throw end.error;
    return { done: true, value: undefined };
  }
}
