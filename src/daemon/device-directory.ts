import type { DeviceCa, DeviceRegistry } from "../ca/index.ts";
import type { Clock } from "../core/index.ts";
import { type DeviceIdentity, parseDeviceId } from "../identity/index.ts";
import type { DeviceDirectory, Peer, UserDirectory } from "../services/index.ts";
import type { DeviceRow, Users } from "../vault/index.ts";
import type { Peers } from "./peers.ts";
import type { Quarantine } from "./quarantine.ts";
import { renewals } from "./renewals.ts";
import type { RevocationEpoch } from "./restored.ts";
import type { Storage } from "./storage.ts";

export interface DirectoryParts {
  readonly identity: DeviceIdentity;
  readonly ca: DeviceCa;
  readonly storage: Storage;
  readonly quarantine: Quarantine;
  readonly epoch: RevocationEpoch;
  readonly registry: DeviceRegistry<DeviceRow>;
  readonly peers: Peers;
  readonly clock: Clock;
}

/** The devices of the vault, with what is known of them beside it. */
export function deviceDirectory(parts: DirectoryParts): DeviceDirectory {
  const { identity, ca, quarantine, registry, peers, clock } = parts;
  const { devices, users } = parts.storage.vault;
  const kept = keeping(parts.epoch);
  return {
    list: () => registry.list(),
    get: (id) => devices.get(id),
    find: (text) => registry.find(text),
    lastSeen: (id) => registry.lastSeen(id),
    connectionCount: (id) => peers.count(parseDeviceId(id)),
    isReadmitted: (id) => registry.isReadmitted(id),
    onChange: (listener) => registry.onChange(listener),
    revoke: (id, at, mutation) => kept(devices.revoke(id, at, mutation)),
    release: (id, mutation) => quarantine.release(parseDeviceId(id), mutation),
    rename: (id, name, mutation) => devices.rename(id, name, mutation),
    grant: (id, role, mutation) => devices.grant(id, role, mutation),
    ungrant: (id, role, mutation) => kept(devices.ungrant(id, role, mutation)),
    assign: (id, user, mutation) =>
      kept(devices.assign(id, user, mutation, () => void (user === undefined || users.known(user)))),
    facts: (row) => factsOf(row, users),
    rolesOfUser: (name) => users.known(name).roles,
    readmit: (id, until, mutation) => devices.readmit(id, until, mutation),
    renew: renewals({ identity, ca, devices, clock }),
  };
}

export function userDirectory({
  storage,
  registry,
  epoch,
}: Pick<DirectoryParts, "storage" | "registry" | "epoch">): UserDirectory {
  const { users } = storage.vault;
  const kept = keeping(epoch);
  return {
    list: () => users.list(),
    devicesOf: (name) => registry.list().filter(({ user }) => user === name),
    add: (user, mutation) => users.add(user, mutation),
    remove: (name, mutation) => kept(users.remove(name, mutation)),
    grant: (name, role, mutation) => users.grant(name, role, mutation),
    ungrant: (name, role, mutation) => kept(users.ungrant(name, role, mutation)),
  };
}

/** As policies see a device. */
export function factsOf(
  { name, roles, user }: DeviceRow,
  users: Pick<Users, "get">,
): NonNullable<ReturnType<Peer["facts"]>> {
  const owner = user === undefined ? undefined : users.get(user);
  if (owner === undefined) return { name, roles };
  return { name, roles, user: { id: owner.name, roles: owner.roles } };
}

/** What takes a right away is not answered before the count of it is kept outside of the vault. */
function keeping(epoch: RevocationEpoch): <Result>(change: Promise<Result>) => Promise<Result> {
  return async (change) => {
    const result = await change;
    await epoch.keep();
    return result;
  };
}
