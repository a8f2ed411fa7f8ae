/** A contender's client in its own process: told whom to reach, then told what to measure. */
import type { Caller, ContenderClient } from "../contender.ts";
import { clientOf } from "./contender-client.ts";
import { coldStarts, type LoadOrder, load } from "./load.ts";
import type { Target } from "./targets.ts";
import { answerRequests } from "./worker-process.ts";

export type ClientRequest =
  | { readonly kind: "target"; readonly target: Target }
  | { readonly kind: "load"; readonly order: LoadOrder }
  | { readonly kind: "cold"; readonly count: number };

let client: ContenderClient | undefined;
let caller: Caller | undefined;

answerRequests(async (request) => {
  const order = request as ClientRequest;
  switch (order.kind) {
    case "target":
      client = await clientOf(order.target);
      caller = await client.connect();
      return {};
    case "load":
      if (caller === undefined) throw new Error("load before target");
      return load(caller, order.order);
    case "cold":
      if (client === undefined) throw new Error("cold before target");
      return { samplesMs: await coldStarts(client, order.count) };
  }
});
