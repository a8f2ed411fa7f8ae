/** A contender's client in its own process: told whom to reach, then told what to measure. */
import type { Caller, ContenderClient, Start } from "../contender.ts";
import { clientOf } from "./contender-client.ts";
import { type LoadOrder, load, starts } from "./load.ts";
import type { Target } from "./targets.ts";
import { answerRequests } from "./worker-process.ts";

export type ClientRequest =
  | { readonly kind: "target"; readonly target: Target }
  | { readonly kind: "load"; readonly order: LoadOrder }
  | { readonly kind: "starts"; readonly start: Start; readonly count: number };

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
    case "starts":
      if (client === undefined) throw new Error("starts before target");
      return starts(client, order.start, order.count);
  }
});
