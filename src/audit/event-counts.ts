/** Detail fields of one event, less those that a summary needs for itself. */
const ACTIONS_MAX = 30;

/** Counts of what is too frequent to be listed, by action. */
export class EventCounts {
  #counts = new Map<string, number>();

  /** @throws RangeError beyond 30 different actions: they come from our own code, never from a peer. */
  count(action: string): void {
    const count = this.#counts.get(action) ?? 0;
    if (count === 0 && this.#counts.size >= ACTIONS_MAX)
      throw new RangeError("EventCounts: too many actions");
    this.#counts.set(action, count + 1);
  }

  /** The counts so far, which start again from nothing; absent when there are none. */
  take(): Readonly<Record<string, string>> | undefined {
    if (this.#counts.size === 0) return undefined;
    const taken = Object.fromEntries([...this.#counts].map(([action, count]) => [action, String(count)]));
    this.#counts = new Map();
    return taken;
  }
}
