import { GatehouseError } from "../core/index.ts";
import { grpc, METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import type { Peer } from "./peer.ts";

const { ServingStatus } = grpc.health.v1.HealthCheckResponse;

/** By the name that a method's path begins with. */
const SERVICES: ReadonlySet<string> = new Set(
  Object.values(METHODS).flatMap((methods) =>
    Object.values(methods).map(({ path }) => path.slice(1, path.lastIndexOf("/"))),
  ),
);

/**
 * gRPC's standard health service. A router is for one state of the gatehouse: when that changes its connections end, and
 * whoever watches hears of it by that.
 */
export function grpcHealthService(router: Router<Peer>, state: "serving" | "not-serving"): void {
  const status = state === "serving" ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  const isKnown = (service: string): boolean => service === "" || SERVICES.has(service);
  router.handle(METHODS.GrpcHealth.Check, ({ service }) => {
    if (isKnown(service)) return { status };
    throw new GatehouseError("rpc.unknown-service", "this gatehouse has no such service");
  });
  router.handle(METHODS.GrpcHealth.Watch, async function* ({ service }, { signal }) {
    yield { status: isKnown(service) ? status : ServingStatus.SERVICE_UNKNOWN };
    if (signal.aborted) return;
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  });
}
