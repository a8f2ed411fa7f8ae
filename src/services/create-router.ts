import type { Clock, Logger, Random } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import { type DeviceId, parseDeviceId } from "../identity/index.ts";
import { EarlyData, Router } from "../rpc/index.ts";
import { bindCall } from "../tools/index.ts";
import { type ApprovalDesk, approvalService, type DeviceNames } from "./approvals.ts";
import { type AuditReader, auditService } from "./audit.ts";
import { type AuthorityDesk, authorityService } from "./authority.ts";
import { type BackupDesk, backupService } from "./backup.ts";
import { type DeviceDirectory, deviceService } from "./device.ts";
import { grpcHealthService } from "./grpc-health.ts";
import { type AuditTrail, type DecisionMaker, Guard, type RequestNotes } from "./guard.ts";
import { type HealthFacts, healthService } from "./health.ts";
import { type KeysDesk, keysService } from "./keys.ts";
import { type PairingWindows, pairingService } from "./pairing.ts";
import type { Peer } from "./peer.ts";
import { type PolicyDesk, policyService } from "./policy.ts";
import { PolicyQuestions, type PolicyQuestionsParts } from "./policy-questions.ts";
import { type RateLimits, Rates } from "./rates.ts";
import { type SealDesk, sealService } from "./seal.ts";
import type { SubjectContext, ToolSubject } from "./subject.ts";
import { type ToolServiceParts, toolIn } from "./tool-parts.ts";
import { toolsService } from "./tools.ts";
import { type UserDirectory, usersService } from "./users.ts";
import { type VaultParts, vaultService } from "./vault.ts";

export interface ServiceParts extends Pick<ToolServiceParts, "shop" | "activeDevices" | "auditHash"> {
  readonly gatehouseId: DeviceId;
  readonly authorizer: DecisionMaker;
  readonly requests: RequestNotes;
  readonly audit: AuditTrail;
  readonly auditLog: AuditReader;
  readonly limits: RateLimits & Pick<VaultParts, "ownFolderBytes">;
  readonly devices: DeviceDirectory;
  readonly users: UserDirectory;
  readonly policies: PolicyDesk;
  readonly lastDenial: PolicyQuestionsParts["lastDenial"];
  readonly approvals: ApprovalDesk;
  readonly authority: AuthorityDesk;
  readonly secrets: VaultParts["secrets"];
  readonly keys: KeysDesk;
  readonly backup: BackupDesk;
  readonly windows: PairingWindows;
  readonly health: HealthFacts;
  readonly seal: SealDesk;
  /** `listener` hears when anybody's rights may have changed other than by a change of the device itself. */
  readonly onRightsChange: (listener: () => void) => Disposable;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Every method of every service behind one guard; one router whatever the wires. */
export function createRouter(parts: ServiceParts): Router<Peer> {
  const { clock, logger, gatehouseId, devices, limits, policies, approvals, shop, secrets } = parts;
  const toolOf = (name: string): ToolSubject => shop.tools.get(name) ?? { name, groups: [] };
  const subjects = subjectsOf(parts, toolOf);
  const rates = new Rates(limits, clock);
  const guard = new Guard({ ...parts, subjects, rates });
  devices.onChange(({ id }) => guard.recheck(id));
  parts.onRightsChange(() => guard.recheckAll());
  const earlyData = new EarlyData<Peer>({ clock, ownerOf: ({ deviceId }) => deviceId });
  const router = new Router<Peer>({ clock, log: logger, interceptors: guard.interceptors, earlyData });
  const counters = () => {
    const { accepted, replayed, full, withSideEffects, withoutRequestId } = earlyData.counts;
    const early = { earlyAccepted: accepted, earlyReplayed: replayed, earlyUnremembered: full };
    return { ...parts.health.counters(), ...early, earlyUnfit: withSideEffects + withoutRequestId };
  };
  const names = namesOf(devices);
  healthService(router, { guard, clock, facts: { ...parts.health, counters } });
  grpcHealthService(router, "serving");
  deviceService(router, { gatehouseId, guard, devices, clock });
  usersService(router, { guard, users: parts.users, clock });
  policyService(router, {
    ...{ guard, gatehouseId, policies, names, clock },
    questions: new PolicyQuestions({ ...parts, subjects }),
  });
  toolsService(router, { ...parts, guard, names, policySet: () => policies.set().number });
  approvalService(router, { guard, approvals, names, toolOf, clock });
  auditService(router, { audit: parts.auditLog, names });
  authorityService(router, parts.authority);
  backupService(router, parts.backup);
  keysService(router, { guard, keys: parts.keys });
  pairingService(router, parts.windows);
  sealService(router, parts.seal);
  vaultService(router, { guard, secrets, ownFolderBytes: limits.ownFolderBytes });
  router.assertHandles(METHODS);
  return router;
}

function subjectsOf(
  { gatehouseId, devices, windows, shop, approvals }: ServiceParts,
  toolOf: (name: string) => ToolSubject,
): Omit<SubjectContext, "callerId"> {
  return {
    gatehouseId,
    findDevice: (text) => {
      const row = devices.find(text);
      return { id: parseDeviceId(row.id), ...devices.facts(row), name: row.name };
    },
    findJoiner: (text) => {
      const { deviceId, role, name } = windows.find(text);
      return { id: parseDeviceId(deviceId), roles: [role], name };
    },
    findTool: (name) => toolIn(shop, name),
    bindCall: (name, given) => bindCall(toolIn(shop, name), given),
    findApproval: (id) => toolOf(approvals.find(id).tool),
  };
}

/** By id, revoked ones too. */
function namesOf(devices: DeviceDirectory): DeviceNames {
  return {
    get: (id) => {
      const row = devices.get(id);
      return row === undefined ? undefined : { name: row.name, roles: row.roles, user: row.user };
    },
  };
}
