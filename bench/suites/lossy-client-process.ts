/** A contender's client at the near end of the link: told whom to reach, then told what to measure, each on connections of its own. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import type { Caller, ContenderClient } from "../contender.ts";
import { clientOf } from "../support/contender-client.ts";
import type { Target } from "../support/targets.ts";
import { answerRequests } from "../support/worker-process.ts";
import {
  type CallsOrder,
  type ConnectsOrder,
  calls,
  connects,
  inTime,
  PATIENCE_MS,
  transfer,
} from "./lossy-load.ts";

export type LossyRequest =
  | { readonly kind: "target"; readonly target: Target }
  | { readonly kind: "connects"; readonly order: ConnectsOrder }
  | { readonly kind: "calls"; readonly order: CallsOrder }
  | { readonly kind: "transfer" };

let target: Target | undefined;

answerRequests(async (message) => {
  const request = message as LossyRequest;
  switch (request.kind) {
    case "target":
      target = request.target;
      return {};
    case "connects":
      return { samples: await withStrangers(known(), (open) => connects(open, request.order)) };
    case "calls":
      return { sample: await connected((caller) => calls(caller, request.order)) };
    case "transfer":
      return { ms: await connected(transfer) };
  }
});

function known(): Target {
  if (target === undefined) throw new Error("a measure before its target");
  return target;
}

/** On a connection that has had one answer. */
async function connected<Answer>(measure: (caller: Caller) => Promise<Answer>): Promise<Answer> {
  return await withStrangers(known(), async (open) => {
    const client = await open();
    await using caller = await client.connect();
    if (!(await inTime(caller.call("ping"), PATIENCE_MS))) throw new Error("no first answer in time");
    return await measure(caller);
  });
}

/**
 * Lends clients that have nothing left of connections before. Ours remembers tickets and round trips in its home, so each
 * gets a copy as pairing left it, beside the original, which nobody ever connects with.
 */
async function withStrangers<Answer>(
  to: Target,
  work: (open: () => Promise<ContenderClient>) => Promise<Answer>,
): Promise<Answer> {
  const copies: string[] = [];
  try {
    return await work(async () => {
      if (to.peer !== "gatehouse") return await clientOf(to);
      const home = await mkdtemp(`${to.home}-`);
      copies.push(home);
      await cp(to.home, home, { recursive: true });
      return await clientOf({ ...to, home });
    });
  } finally {
    await Promise.all(copies.map((copy) => rm(copy, { recursive: true })));
  }
}
