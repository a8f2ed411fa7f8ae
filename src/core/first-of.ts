import type { Clock } from "./clock.ts";
import { GatehouseError } from "./errors.ts";

/** RFC 8305 §5, Connection Attempt Delay. */
const STAGGER_MS = 250;

export interface RaceOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Tries one item after another, the next as soon as one has failed or a quarter of a second has passed (RFC 8305), and keeps
 * the first that works. The others are cancelled, and disposed if they come late.
 * @throws the first item's failure when none works
 */
export async function firstOf<Item, Result extends AsyncDisposable>(
  items: readonly Item[],
  { clock, signal }: RaceOptions,
  attempt: (item: Item, signal: AbortSignal, index: number) => Promise<Result>,
): Promise<Result> {
  const attempts = items.map(() => new AbortController());
  return await new Promise<Result>((resolve, reject) => {
    let started = 0;
    let failed = 0;
    let isOver = false;
    let firstFailure: unknown;
    let timer: Disposable | undefined;
    const won = (result: Result, index: number): void => {
      if (isOver) return void result[Symbol.asyncDispose]();
      isOver = true;
      timer?.[Symbol.dispose]();
      resolve(result);
      for (const [other, controller] of attempts.entries()) if (other !== index) controller.abort();
    };
    const lost = (failure: unknown, index: number): void => {
      failed += 1;
      if (index === 0 || firstFailure === undefined) firstFailure = failure;
      if (isOver) return;
      if (failed === items.length) reject(firstFailure);
      else if (failed === started) next();
    };
    const next = (): void => {
      timer?.[Symbol.dispose]();
      const index = started;
      const item = items[index];
      if (isOver || item === undefined) return;
      started += 1;
      const own = attempts[index]?.signal ?? AbortSignal.abort();
      attempt(item, signal === undefined ? own : AbortSignal.any([signal, own]), index).then(
        (result) => won(result, index),
        (failure: unknown) => lost(failure, index),
      );
      timer = clock.setTimer(STAGGER_MS, next);
    };
    if (items.length === 0)
      reject(new GatehouseError("quic.bad-address", "there is no address to connect to"));
    else next();
  });
}
