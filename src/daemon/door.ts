import { Authorizer, loadDefaultPolicies, loadDefaultSchema } from "../authz/index.ts";
import { type DeviceCa, DeviceRegistry } from "../ca/index.ts";
import { certificatePem } from "../certs/index.ts";
import { invariant, type Resources } from "../core/index.ts";
import { type DeviceId, type DeviceIdentity, parseDeviceId } from "../identity/index.ts";
import { PairingLimiter } from "../pairing/index.ts";
import {
  dialable,
  formatAddress,
  type QuicConnection,
  QuicServer,
  type SocketAddress,
} from "../quic/index.ts";
import type { Router } from "../rpc/index.ts";
import { createRouter, type Peer } from "../services/index.ts";
import type { DeviceRow } from "../vault/index.ts";
import { admission } from "./admission.ts";
import type { BootRecord } from "./boot-record.ts";
import { enrollment } from "./enrollment.ts";
import { limiterStore } from "./limiter-store.ts";
import { PairingDoor } from "./pairing-door.ts";
import { Peers } from "./peers.ts";
import type { Quarantine } from "./quarantine.ts";
import type { Effects, Storage } from "./storage.ts";
import type { Spotlight } from "./watchdog-memory.ts";

/** Requests; pairing has its own. */
const REQUESTS_ALPN = "gatehouse/1";

export interface DoorParts extends Effects {
  readonly identity: DeviceIdentity;
  readonly boot: BootRecord;
  readonly storage: Storage;
  readonly ca: DeviceCa;
  readonly listen: readonly SocketAddress[];
  readonly version: string;
  readonly quarantine: Quarantine;
  /** Is told whose connection is being handled. */
  readonly spotlight: Spotlight<QuicConnection> | undefined;
}

export interface Door {
  readonly router: Router<Peer>;
  readonly pairing: PairingDoor;
  readonly server: QuicServer;
}

/** Puts admission, services and pairing behind one QUIC server; all owned by `resources`. */
export async function openDoor(parts: DoorParts, resources: Resources): Promise<Door> {
  const { identity, ca, storage, spotlight, clock, random, logger } = parts;
  const caCertificates = () => ca.certificatesDer;
  const store = storage.vault.devices;
  const registry = new DeviceRegistry<DeviceRow>({ store, gatehouseId: identity.id, clock, caCertificates });
  const peers = new Peers();
  resources.use(registry.onRevoked((row) => peers.expel(parseDeviceId(row.id), "this device was revoked")));
  const leaf = await ca.issueServer(identity.tls.spki);

  // Pairing and status speak of the server, and the server admits by asking both: it comes last.
  let opened: QuicServer | undefined;
  const server = (): QuicServer => {
    invariant(opened !== undefined, "the door is open before anybody comes in");
    return opened;
  };
  const pairing = await openPairingDoor(parts, { certificate: () => leaf.der, server });
  const router = resources.use(await openRouter(parts, { registry, pairing, server }));
  const serve = (connection: QuicConnection, id: DeviceId): void => {
    spotlight?.name(connection, id);
    const peer = peerOf(connection, id, registry);
    connection.onStream((stream) => router.serve(stream, peer));
  };
  opened = await QuicServer.listen({
    ...{ listen: parts.listen, alpn: REQUESTS_ALPN, caPem: ca.certificatesPem, clock, random, logger },
    identity: { keyPem: identity.tls.privateKeyPem, certificatePem: certificatePem(leaf.der) },
    admit: admission({ registry, peers, pairing, logger, serve }),
    ...(spotlight === undefined ? {} : { onHandling: (connection) => spotlight.show(connection) }),
  });
  return { router, pairing, server: resources.use(opened) };
}

async function openPairingDoor(
  { identity, boot, ca, storage, clock, random, logger }: DoorParts,
  door: { readonly certificate: () => Uint8Array; readonly server: () => QuicServer },
): Promise<PairingDoor> {
  const { vault, audit } = storage;
  const burnt = { action: "pair:burn", resource: `gatehouse:${identity.id}`, outcome: "done" } as const;
  const limiter = await PairingLimiter.open(
    limiterStore(vault.settings, () => audit.encodeEvent(burnt)),
    clock,
  );
  const enroll = enrollment({ ca, vault, audit, clock });
  return new PairingDoor({
    ...door,
    identity,
    gatehouseName: boot.name,
    limiter,
    enroll,
    clock,
    random,
    logger,
  });
}

async function openRouter(
  { identity, boot, storage, quarantine, version, clock, logger }: DoorParts,
  door: {
    readonly registry: DeviceRegistry<DeviceRow>;
    readonly pairing: PairingDoor;
    readonly server: () => QuicServer;
  },
): Promise<Router<Peer>> {
  const { vault, audit } = storage;
  const { registry, pairing, server } = door;
  const [schema, policies] = await Promise.all([loadDefaultSchema(), loadDefaultPolicies()]);
  return createRouter({
    ...{ gatehouseId: identity.id, audit, clock, logger, secrets: vault.secrets, windows: pairing },
    authorizer: await Authorizer.open({ schema, policies, logger }),
    devices: {
      list: () => registry.list(),
      find: (text) => registry.find(text),
      lastSeenAt: (id) => registry.lastSeenAt(id),
      revoke: (id, at, mutation) => vault.devices.revoke(id, at, mutation),
      release: (id, mutation) => quarantine.release(parseDeviceId(id), mutation),
    },
    health: {
      ...{ name: boot.name, deviceId: identity.id, fingerprint: identity.fingerprint, version },
      quic: () => formatAddress(dialable(server().addresses, "network")),
      activeDevices: () => registry.activeCount,
      quarantinedDevices: () => registry.quarantinedCount,
      counters: () => ({ ...server().counters }),
      state: () => vault.state,
    },
  });
}

function peerOf(connection: QuicConnection, deviceId: DeviceId, registry: DeviceRegistry<DeviceRow>): Peer {
  return {
    deviceId,
    facts: () => {
      const row = registry.get(deviceId);
      return row?.state === "active" ? { name: row.name, role: row.role } : undefined;
    },
    wire: "quic",
    remoteAddress: () => connection.remote.host,
  };
}
