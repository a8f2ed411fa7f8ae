/** Bounds the calls of a device that are under way. */
import type { Awaitable, CallContext } from "../rpc/index.ts";
import type { Peer } from "./peer.ts";

/** A device's calls in flight. */
export interface Load {
  calls: number;
}

/**
 * Runs `next` on a place of `load`. The call holds it until it has ended and its handler too: a short deadline must not
 * buy work without end. What is answered at once gives it back at once.
 */
export function occupy<Answer>(
  load: Load,
  context: CallContext<Peer>,
  next: () => Awaitable<Answer>,
): Awaitable<Answer> {
  let answer: Awaitable<Answer>;
  try {
    answer = next();
  } catch (failure) {
    load.calls -= 1;
    throw failure;
  }
  if (!(answer instanceof Promise) && context.method.kind === "unary") {
    load.calls -= 1;
    return answer;
  }
  let unfinished = 2;
  const finish = (): void => {
    unfinished -= 1;
    if (unfinished === 0) load.calls -= 1;
  };
  context.onEnd(finish);
  if (answer instanceof Promise) answer.then(finish, finish);
  else finish();
  return answer;
}
