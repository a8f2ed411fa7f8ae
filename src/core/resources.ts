/**
 * Owns what has to be closed, closes it in reverse order, and goes on closing when one of them fails.
 * Stands in for `AsyncDisposableStack`, which Node 20 lacks.
 */
export class Resources implements AsyncDisposable {
  #owned: (Disposable | AsyncDisposable)[] = [];

  /** Takes ownership of `resource` and hands it back. */
  use<Resource extends Disposable | AsyncDisposable>(resource: Resource): Resource {
    this.#owned.push(resource);
    return resource;
  }

  defer(close: () => void | Promise<void>): void {
    this.#owned.push({ [Symbol.asyncDispose]: async () => close() });
  }

  /** Moves everything owned into a new `Resources`: the old one then closes nothing. */
  move(): Resources {
    const moved = new Resources();
    moved.#owned = this.#owned;
    this.#owned = [];
    return moved;
  }

  /** @throws the only failure, or an `AggregateError` of all of them, after everything was tried. */
  async [Symbol.asyncDispose](): Promise<void> {
    const failures: unknown[] = [];
    for (let resource = this.#owned.pop(); resource !== undefined; resource = this.#owned.pop()) {
      try {
        if (Symbol.asyncDispose in resource) await resource[Symbol.asyncDispose]();
        else resource[Symbol.dispose]();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, "several resources failed to close");
  }
}
