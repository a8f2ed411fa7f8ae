import type { Clock, Logger } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import { type DeviceId, parseDeviceId } from "../identity/index.ts";
import { EarlyData, Router } from "../rpc/index.ts";
import { type AuthorityDesk, authorityService } from "./authority.ts";
import { type BackupDesk, backupService } from "./backup.ts";
import { type DeviceDirectory, deviceService } from "./device.ts";
import { type AuditTrail, type DecisionMaker, Guard } from "./guard.ts";
import { type HealthFacts, healthService } from "./health.ts";
import { type KeysDesk, keysService } from "./keys.ts";
import { type PairingWindows, pairingService } from "./pairing.ts";
import type { Peer } from "./peer.ts";
import { type SealDesk, sealService } from "./seal.ts";
import { type VaultParts, vaultService } from "./vault.ts";

export interface ServiceParts {
  readonly gatehouseId: DeviceId;
  readonly authorizer: DecisionMaker;
  readonly audit: AuditTrail;
  readonly devices: DeviceDirectory;
  readonly authority: AuthorityDesk;
  readonly secrets: VaultParts["secrets"];
  readonly keys: KeysDesk;
  readonly backup: BackupDesk;
  readonly windows: PairingWindows;
  readonly health: HealthFacts;
  readonly seal: SealDesk;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Every method of every service behind one guard; one router whatever the wires. */
export function createRouter(parts: ServiceParts): Router<Peer> {
  const { authorizer, audit, clock, logger, gatehouseId, devices } = parts;
  const findDevice = (text: string) => {
    const { id, roles, name } = devices.find(text);
    return { id: parseDeviceId(id), roles, name };
  };
  const findJoiner = (text: string) => {
    const { deviceId, role, name } = parts.windows.find(text);
    return { id: parseDeviceId(deviceId), roles: [role], name };
  };
  const guard = new Guard({ authorizer, audit, clock, subjects: { gatehouseId, findDevice, findJoiner } });
  parts.devices.onChange(({ id }) => guard.recheck(id));
  const earlyData = new EarlyData<Peer>({ clock, ownerOf: ({ deviceId }) => deviceId });
  const router = new Router<Peer>({ clock, log: logger, interceptors: guard.interceptors, earlyData });
  const counters = () => {
    const { accepted, replayed, full, withSideEffects, withoutRequestId } = earlyData.counts;
    const early = { earlyAccepted: accepted, earlyReplayed: replayed, earlyUnremembered: full };
    return { ...parts.health.counters(), ...early, earlyUnfit: withSideEffects + withoutRequestId };
  };
  healthService(router, { guard, clock, facts: { ...parts.health, counters } });
  deviceService(router, { gatehouseId, guard, devices, clock });
  authorityService(router, parts.authority);
  backupService(router, parts.backup);
  keysService(router, { guard, keys: parts.keys });
  pairingService(router, parts.windows);
  sealService(router, parts.seal);
  vaultService(router, { guard, secrets: parts.secrets });
  router.assertHandles(METHODS);
  return router;
}
