import type { ContenderClient } from "../contender.ts";
import { engineClient } from "../peers/engine.ts";
import { grpcClient } from "../peers/grpc.ts";
import { matrixaiClient } from "../peers/matrixai.ts";
import type { Target } from "./targets.ts";

/** The client side of `target`'s contender, in this process. */
export async function clientOf(target: Target): Promise<ContenderClient> {
  switch (target.peer) {
    case "grpc-js":
      return grpcClient(target.tls, target.host, target.port);
    case "matrixai":
      return matrixaiClient(target.tls, target.port);
    case "engine":
      return engineClient(target.tls, target.host, target.port);
    case "gatehouse": {
      // Loaded only here: the peers run without our build.
      const { gatehouseClient } = await import("../peers/gatehouse.ts");
      return gatehouseClient(target);
    }
  }
}
