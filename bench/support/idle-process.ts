/** A client process that holds many connections open and does nothing on them. */
import type { Caller, ContenderClient } from "../contender.ts";
import { clientOf } from "./contender-client.ts";
import { within } from "./load.ts";
import type { Target } from "./targets.ts";
import { answerRequests } from "./worker-process.ts";

export type IdleRequest =
  | { readonly kind: "target"; readonly target: Target }
  /** Opens so many more, each with one call answered. */
  | { readonly kind: "open"; readonly count: number }
  /** One call on each. */
  | { readonly kind: "ping" }
  | { readonly kind: "close" };

export interface IdleAnswer {
  /** Connections that answered. */
  readonly alive: number;
}

/** Connecting side by side: below what a server allows one source. */
const LANES = 16;
const PATIENCE_MS = 20_000;

let client: ContenderClient | undefined;
let held: Caller[] = [];

answerRequests(async (request): Promise<IdleAnswer> => {
  const order = request as IdleRequest;
  switch (order.kind) {
    case "target":
      client = await clientOf(order.target);
      return { alive: 0 };
    case "open":
      if (client === undefined) throw new Error("open before target");
      return open(client, order.count);
    case "ping":
      return ping();
    case "close":
      await Promise.all(held.map((caller) => caller[Symbol.asyncDispose]()));
      held = [];
      return { alive: 0 };
  }
});

async function open(from: ContenderClient, count: number): Promise<IdleAnswer> {
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      const caller = await from.connect();
      await caller.call("ping");
      held.push(caller);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return { alive: held.length };
}

async function ping(): Promise<IdleAnswer> {
  const callers = [...held];
  let alive = 0;
  const lane = async (): Promise<void> => {
    for (let caller = callers.pop(); caller !== undefined; caller = callers.pop()) {
      const isAlive = await caller.call("ping").then(
        () => true,
        () => false,
      );
      if (isAlive) alive += 1;
    }
  };
  await within(Promise.all(Array.from({ length: LANES }, lane)), PATIENCE_MS, []);
  return { alive };
}
