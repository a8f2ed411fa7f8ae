/** A contender's client at the near end of the link: told whom to reach, then told what to measure, each on connections of its own. */
import { cp, mkdtemp, rm } from "node:fs/promises";
import type { Caller, ContenderClient } from "../contender.ts";
import { clientOf } from "../support/contender-client.ts";
import type { Target } from "../support/targets.ts";
import { answerRequests } from "../support/worker-process.ts";
import {
  type CallsOrder,
  type ConnectSample,
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
      return { samples: await measureConnects(known(), request.order) };
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
  const client = await clientOf(known());
  await using caller = await client.connect();
  if (!(await inTime(caller.call("ping"), PATIENCE_MS))) throw new Error("no first answer in time");
  return await measure(caller);
}

async function measureConnects(to: Target, order: ConnectsOrder): Promise<readonly ConnectSample[]> {
  const copies: string[] = [];
  try {
    return await connects(() => strangerOf(to, copies), order);
  } finally {
    await Promise.all(copies.map((copy) => rm(copy, { recursive: true })));
  }
}

/**
 * A client that has nothing left of connections before: ours remembers in its home, so each gets a copy as pairing left it,
 * beside the original.
 */
async function strangerOf(to: Target, copies: string[]): Promise<ContenderClient> {
  if (to.peer !== "gatehouse") return clientOf(to);
  const home = await mkdtemp(`${to.home}-`);
  copies.push(home);
  await cp(to.home, home, { recursive: true });
  return clientOf({ ...to, home });
}
