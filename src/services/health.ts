import { GatehouseError, LIMITS } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import type { Peer } from "./peer.ts";

export interface HealthFacts {
  readonly name: string;
  readonly deviceId: string;
  readonly fingerprint: string;
  readonly version: string;
  /** HOST:PORT. */
  readonly quic: () => string;
  readonly activeDevices: () => number;
  readonly quarantinedDevices: () => number;
  readonly state: () => { readonly kind: string; readonly reason?: string };
}

export function healthService(router: Router<Peer>, facts: HealthFacts): void {
  const { name, deviceId, fingerprint, version } = facts;
  router.handle(METHODS.Health.Ping, ({ payload }) => {
    if (payload.length <= LIMITS.pingPayloadBytes) return { payload };
    throw new GatehouseError("usage.bad-argument", `a ping carries at most ${LIMITS.pingPayloadBytes} bytes`);
  });
  router.handle(METHODS.Health.Status, () => {
    const { kind, reason = "" } = facts.state();
    const [devices, quarantinedDevices] = [facts.activeDevices(), facts.quarantinedDevices()];
    const quic = facts.quic();
    return { name, deviceId, fingerprint, version, state: kind, reason, quic, devices, quarantinedDevices };
  });
}
