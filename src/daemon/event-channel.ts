/** A queue from callbacks to one `for await` reader; ends when closed. Bounded by its producer, which sends a handful. */
export class EventChannel<Event> implements AsyncIterable<Event> {
  readonly #queue: Event[] = [];
  #wake: () => void = () => undefined;
  #isClosed = false;

  send(event: Event): void {
    if (this.#isClosed) return;
    this.#queue.push(event);
    this.#wake();
  }

  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event, void, void> {
    for (;;) {
      const event = this.#queue.shift();
      if (event !== undefined) yield event;
      else if (this.#isClosed) return;
      else await this.#changed();
    }
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
