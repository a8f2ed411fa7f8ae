import { type Clock, GatehouseError, LIMITS } from "../core/index.ts";
import { type gatehouse, METHODS, type MethodDefinition } from "../gen/index.ts";
import { type DeviceId, fingerprintOf } from "../identity/index.ts";
import type { Router } from "../rpc/index.ts";
import { type DeviceRow, type DeviceSight, type Mutation, newestCertificate } from "../vault/index.ts";
import type { CallerFacts, Guard } from "./guard.ts";
import { mutate } from "./mutate.ts";
import { parseDeviceName, parseRole } from "./names.ts";
import type { Peer } from "./peer.ts";
import { rightsOf } from "./rights.ts";
import { parseUserName, refuseUnlessMayGive } from "./users.ts";

const PAGE_SIZE = 100;
const PAGE_SIZE_MAX = 500;

export interface RenewalWish {
  readonly deviceId: DeviceId;
  /** PKCS#10, DER. */
  readonly certificateRequest: Uint8Array;
  /** 32 bytes; the answer's signature covers them, … */
  readonly nonce: Uint8Array;
  /** … and this: SHA-256 of the SubjectPublicKeyInfo that the caller was shown. */
  readonly serverSpkiSha256: Uint8Array;
}

export interface RenewalAnswer {
  /** DER. */
  readonly certificate: Uint8Array;
  /** DER, newest first. */
  readonly caCertificates: readonly Uint8Array[];
  /** 64 bytes. */
  readonly signature: Uint8Array;
  /** Unix ms. */
  readonly now: number;
}

type Change<Value> = (id: string, value: Value, mutation: Mutation<DeviceRow>) => Promise<DeviceRow>;

export interface DeviceDirectory {
  /** In a stable order. */
  list(): readonly DeviceRow[];
  get(id: string): DeviceRow | undefined;
  /** @throws device.not-found, device.ambiguous */
  find(text: string): DeviceRow;
  lastSeen(id: string): DeviceSight | undefined;
  connectionCount(id: string): number;
  /** Whether it may come in with an expired certificate now. */
  isReadmitted(id: string): boolean;
  /** `listener` hears of each change right after it is on disk. */
  onChange(listener: (row: DeviceRow) => void): Disposable;
  /** @throws device.not-found, device.last-owner */
  readonly revoke: Change<number>;
  /** @throws device.not-found */
  release(id: string, mutation: Mutation<DeviceRow>): Promise<DeviceRow>;
  /** @throws device.not-found, device.revoked, device.name-taken */
  readonly rename: Change<string>;
  /** @throws device.not-found, device.revoked */
  readonly grant: Change<string>;
  /** @throws device.not-found, device.last-owner */
  readonly ungrant: Change<string>;
  /** `undefined`: nobody's. @throws device.not-found, device.revoked, user.not-found */
  readonly assign: Change<string | undefined>;
  /** As policies see it, its user included. */
  facts(row: DeviceRow): CallerFacts;
  /** What a device gets that is assigned to that user. @throws user.not-found */
  rolesOfUser(name: string): readonly string[];
  /** @throws device.not-found, device.revoked, device.quarantined, device.held */
  readonly readmit: Change<number>;
  /** @throws certificate.bad-request, device.*, rpc.overloaded */
  renew(wish: RenewalWish, mutation: Mutation<RenewalAnswer>): Promise<RenewalAnswer>;
}

export interface DeviceServiceParts {
  readonly gatehouseId: DeviceId;
  readonly guard: Guard;
  readonly devices: DeviceDirectory;
  readonly clock: Clock;
}

export function deviceService(
  router: Router<Peer>,
  { gatehouseId, guard, devices, clock }: DeviceServiceParts,
): void {
  const record = (row: DeviceRow) => recordOf(row, devices.lastSeen(row.id));

  router.handle(METHODS.Device.List, ({ pageSize, pageToken }) => {
    const { page, next } = pageOf(devices.list(), pageSize, pageToken);
    return { devices: page.map(record), nextPageToken: next };
  });

  router.handle(METHODS.Device.Show, ({ device }) => {
    const row = devices.find(device);
    const rights = rightsOf(row, {
      gatehouseId,
      decide: (action, resource) =>
        guard.wouldAllow({ id: row.id, ...devices.facts(row) }, { action, resource }),
    });
    return { device: record(row), rights: [...rights], connections: devices.connectionCount(row.id) };
  });

  const handle = <Fields, Request extends Fields & { readonly device: string }>(
    method: MethodDefinition<"unary", Fields, Request, RecordFields, RecordMessage>,
    change: (id: string, request: Request, mutation: Mutation<DeviceRow>) => Promise<DeviceRow>,
    detailOf: (request: Request) => Readonly<Record<string, string>> = () => ({}),
  ): void => {
    router.handle(method, (request, context) => {
      const { id } = devices.find(request.device);
      const detail = detailOf(request);
      return mutate(method, {
        ...{ context, request, granted: guard.granted(context), reply: record, detail },
        change: (mutation) => change(id, request, mutation),
      });
    });
  };
  handle(METHODS.Device.Revoke, (id, _request, mutation) => devices.revoke(id, clock.now(), mutation));
  handle(METHODS.Device.Release, (id, _request, mutation) => devices.release(id, mutation));
  handle(
    METHODS.Device.Rename,
    (id, { name }, mutation) => devices.rename(id, parseDeviceName(name), mutation),
    ({ name }) => ({ name: parseDeviceName(name) }),
  );
  handle(
    METHODS.Device.Grant,
    (id, { role }, mutation) => devices.grant(id, parseRole(role), mutation),
    roleDetail,
  );
  handle(
    METHODS.Device.Ungrant,
    (id, { role }, mutation) => devices.ungrant(id, parseRole(role), mutation),
    roleDetail,
  );
  handle(METHODS.Device.Readmit, (id, { ttlMs }, mutation) =>
    devices.readmit(id, clock.now() + parseReadmission(ttlMs), mutation),
  );

  router.handle(METHODS.Device.Assign, async (request, context) => {
    const { id } = devices.find(request.device);
    const user = request.user === "" ? undefined : parseUserName(request.user);
    const granted = guard.granted(context);
    return await mutate(METHODS.Device.Assign, {
      ...{ context, request, granted, reply: record },
      event: () => {
        // Not before: users may have got roles meanwhile. Those of the one it belonged to are taken from it.
        const owners = [user, devices.get(id)?.user].filter((name) => name !== undefined);
        refuseUnlessMayGive(granted, [...new Set(owners.flatMap((name) => devices.rolesOfUser(name)))]);
        return granted.event({ user: request.user });
      },
      change: (mutation) => devices.assign(id, user, mutation),
    });
  });

  router.handle(METHODS.Device.Renew, (request, context) => {
    const { deviceId, serverSpkiSha256, access } = context.peer;
    const { certificateRequest, nonce } = request;
    // Its connection may have outlived the readmission that let it in.
    if (access === "renewal" && !devices.isReadmitted(deviceId)) throw readmissionOver();
    const wish = { deviceId, serverSpkiSha256, certificateRequest, nonce };
    return mutate(METHODS.Device.Renew, {
      ...{ context, request, granted: guard.granted(context) },
      reply: (answer: RenewalAnswer) => ({ ...answer, caCertificates: [...answer.caCertificates] }),
      change: (mutation) => devices.renew(wish, mutation),
    });
  });
}

type RecordFields = gatehouse.v1.DeviceRecord.$Properties;
type RecordMessage = gatehouse.v1.DeviceRecord;

function roleDetail({ role }: { readonly role: string }): Readonly<Record<string, string>> {
  return { role: parseRole(role) };
}

function readmissionOver(): GatehouseError<"certificate.expired"> {
  return new GatehouseError("certificate.expired", "the time in which it could be renewed is over", {
    hint: "ask the gatehouse's owner to readmit this device",
  });
}

function parseReadmission(ttlMs: number): number {
  if (ttlMs === 0) return LIMITS.readmissionMs;
  if (ttlMs <= LIMITS.readmissionMaxMs) return ttlMs;
  throw new GatehouseError("usage.bad-argument", "a readmission lasts at most seven days");
}

function recordOf(row: DeviceRow, lastSeen: DeviceSight | undefined) {
  const { serial, expiresAt, generation } = newestCertificate(row);
  return {
    ...{ id: row.id, name: row.name, roles: [...row.roles], state: row.state, pairedAt: row.pairedAt },
    ...{ kind: row.kind, platform: row.platform, fingerprint: fingerprintOf(row.identityKey) },
    lastSeenAt: lastSeen?.at ?? 0,
    lastWire: lastSeen?.wire ?? "",
    lastAddress: lastSeen?.address ?? "",
    user: row.user ?? "",
    certificateExpiresAt: expiresAt,
    certificateSerial: serial,
    certificateGeneration: generation,
    revokedAt: row.revokedAt ?? 0,
    quarantinedAt: row.quarantinedAt ?? 0,
    heldAt: row.heldAt ?? 0,
    readmittedUntil: row.readmittedUntil ?? 0,
  };
}

/** The token is the id of the last row shown: it says nothing that its holder has not seen. */
function pageOf(
  rows: readonly DeviceRow[],
  pageSize: number,
  pageToken: string,
): { readonly page: readonly DeviceRow[]; readonly next: string } {
  const start = pageToken === "" ? 0 : rows.findIndex(({ id }) => id === pageToken) + 1;
  if (pageToken !== "" && start === 0) throw new GatehouseError("usage.bad-argument", "unknown page token");
  const size = Math.min(pageSize === 0 ? PAGE_SIZE : pageSize, PAGE_SIZE_MAX);
  const page = rows.slice(start, start + size);
  return { page, next: start + size < rows.length ? (page.at(-1)?.id ?? "") : "" };
}
