/** Everything that a device can call, behind one guard. */
import type { DeviceRegistry } from "../ca/index.ts";
import { hex, type Resources, utf8 } from "../core/index.ts";
import { hmacSha256, LABELS } from "../crypto/index.ts";
import type { Router } from "../rpc/index.ts";
import { createRouter, type Peer } from "../services/index.ts";
import type { DeviceRow } from "../vault/index.ts";
import { Approvals } from "./approval-desk.ts";
import { authorityDesk } from "./authority-desk.ts";
import { backupDesk } from "./backup-desk.ts";
import { deviceDirectory, factsOf, userDirectory } from "./device-directory.ts";
import type { DoorParts } from "./door.ts";
import { keysDesk } from "./keys-desk.ts";
import type { PairingDoor } from "./pairing-door.ts";
import type { Peers } from "./peers.ts";
import { openPolicies } from "./policies.ts";
import { mayManage, policyDesk } from "./policy-desk.ts";
import type { RequestFile } from "./request-file.ts";
import { Workshop } from "./tool-shop.ts";

export interface RouterParts extends DoorParts {
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly peers: Peers;
  readonly pairing: PairingDoor;
  readonly recorder: RequestFile["recorder"];
}

/** All that it opens is owned by `resources`. @throws authz.invalid-policy */
export async function openRouter(parts: RouterParts, resources: Resources): Promise<Router<Peer>> {
  const { identity, boot, storage, ca, certificates, version, doors, clock, random, logger } = parts;
  const { registry, pairing, recorder, layout, keyDir, epoch } = parts;
  const { vault, audit } = storage;
  const policies = await openPolicies(vault.policies, { recorder, logger });
  const rights = new RightsChanges();
  resources.use(vault.users.subscribe(() => rights.announce()));
  const activeDevices = () =>
    registry
      .list()
      .filter(({ state }) => state === "active")
      .map((row) => ({ id: row.id, ...factsOf(row, vault.users) }));
  const auditKey = vault.deriveKey(LABELS.auditArguments);
  const protectedDirs = [layout.root, keyDir];
  const router = createRouter({
    ...{
      gatehouseId: identity.id,
      audit,
      auditLog: audit,
      clock,
      random,
      logger,
      secrets: vault.secrets,
      windows: pairing,
    },
    ...{ authorizer: policies.authorizer, requests: recorder, limits: parts.limits, activeDevices },
    devices: deviceDirectory(parts),
    users: userDirectory(parts),
    onRightsChange: (listener) => rights.onChange(listener),
    policies: policyDesk({
      ...policies,
      shelf: vault.policies,
      isManageable: (candidate) => activeDevices().some((device) => mayManage(candidate, { device, clock })),
      epochChange: () => vault.devices.epochChange(),
      changed: async () => {
        rights.announce();
        await epoch.keep();
      },
    }),
    lastDenial: (deviceId) =>
      recorder
        .recorded()
        .findLast(
          ({ decision, request }) =>
            decision.kind === "deny" && (deviceId === undefined || request.principal.deviceId === deviceId),
        )?.request,
    approvals: resources.use(new Approvals({ shelf: vault.approvals, audit, clock, random, logger })),
    shop: resources.use(new Workshop({ tools: parts.tools, protectedDirs, clock, logger })),
    auditHash: (argumentsHash) => hex(hmacSha256(auditKey, utf8(argumentsHash))),
    keys: keysDesk({ identity, vault, audit }),
    backup: backupDesk(parts),
    authority: authorityDesk({ ca, certificates, devices: vault.devices }),
    health: {
      ...{ name: boot.name, deviceId: identity.id, fingerprint: identity.fingerprint, version },
      quic: () => doors().addresses("network").quic ?? "",
      grpc: () => doors().addresses("network").grpc ?? "",
      devicesBy: (state) => registry.countOf(state),
      burntCodes: () => pairing.burntCodes,
      certificateExpiresAt: () => certificates.server.expiresAt,
      counters: () => doors().counters,
      state: () => vault.state,
    },
    seal: { begin: parts.sealing, state: () => vault.state },
  });
  return resources.use(router);
}

/** Tells whoever answers in streams that anybody's rights may have changed. */
class RightsChanges {
  readonly #listeners = new Set<() => void>();

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  announce(): void {
    for (const listener of this.#listeners) listener();
  }
}
