import { type Clock, GatehouseError, LIMITS } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import type { Guard } from "./guard.ts";
import type { Peer } from "./peer.ts";

export interface HealthFacts {
  readonly name: string;
  readonly deviceId: string;
  readonly fingerprint: string;
  readonly version: string;
  /** HOST:PORT. */
  readonly quic: () => string;
  /** The same of the gRPC door; empty when it is off. */
  readonly grpc: () => string;
  readonly devicesBy: (state: "active" | "quarantined" | "held") => number;
  /** Pairing codes tried wrongly within the last hour. */
  readonly burntCodes: () => number;
  /** Of the gatehouse's own certificate, Unix ms. */
  readonly certificateExpiresAt: () => number;
  /** What came to the door and what became of it. */
  readonly counters: () => Readonly<Record<string, number>>;
  readonly state: () => { readonly kind: string; readonly reason?: string };
}

export interface HealthParts {
  readonly clock: Clock;
  readonly guard: Guard;
  readonly facts: HealthFacts;
}

export function healthService(router: Router<Peer>, { guard, facts, clock }: HealthParts): void {
  const { name, deviceId, fingerprint, version } = facts;
  pingService(router);
  infoService(router, version);
  router.handle(METHODS.Health.Status, (_request, context) => {
    const { kind, reason = "" } = facts.state();
    const { devicesBy, burntCodes, certificateExpiresAt } = facts;
    const numbers = {
      devices: devicesBy("active"),
      quarantinedDevices: devicesBy("quarantined"),
      heldDevices: devicesBy("held"),
      burntCodes: burntCodes(),
      certificateExpiresAt: certificateExpiresAt(),
      now: clock.now(),
    };
    const addresses = { quic: facts.quic(), grpc: facts.grpc() };
    const mayRead = guard.granted(context).may("audit:read", { kind: "audit-log" });
    const counters = mayRead
      ? Object.entries(facts.counters()).map(([name, value]) => ({ name, value }))
      : [];
    const identity = { name, deviceId, fingerprint, version };
    return { ...identity, state: kind, reason, ...addresses, counters, ...numbers };
  });
}

export function pingService(router: Router<Peer>): void {
  router.handle(METHODS.Health.Ping, ({ payload }) => {
    if (payload.length <= LIMITS.pingPayloadBytes) return { payload };
    throw new GatehouseError("usage.bad-argument", `a ping carries at most ${LIMITS.pingPayloadBytes} bytes`);
  });
}

/** The services are those that are handled when it is asked. */
export function infoService(router: Router<Peer>, version: string): void {
  router.handle(METHODS.Health.Info, () => ({ version, services: [...router.services] }));
}

/** What a sealed gatehouse knows of itself. */
export interface SealedFacts
  extends Pick<
    HealthFacts,
    "name" | "deviceId" | "fingerprint" | "version" | "quic" | "grpc" | "certificateExpiresAt"
  > {
  /** Why it is sealed, for people. */
  readonly reason: string;
  /** Of the vault's key slots. */
  readonly keyKinds: readonly string[];
}

export function sealedHealthService(router: Router<Peer>, facts: SealedFacts, clock: Clock): void {
  const { name, deviceId, fingerprint, version, reason } = facts;
  infoService(router, version);
  router.handle(METHODS.Health.Status, () => ({
    ...{ name, deviceId, fingerprint, version, state: "sealed", reason, now: clock.now() },
    ...{ quic: facts.quic(), grpc: facts.grpc(), certificateExpiresAt: facts.certificateExpiresAt() },
    keyKinds: [...facts.keyKinds],
  }));
}
