import { type Clock, GatehouseError } from "../core/index.ts";
import { METHODS } from "../gen/index.ts";
import { fingerprintOf } from "../identity/index.ts";
import type { Router } from "../rpc/index.ts";
import type { DeviceRow, Mutation } from "../vault/index.ts";
import type { Guard } from "./guard.ts";
import { mutate } from "./mutate.ts";
import type { Peer } from "./peer.ts";

const PAGE_SIZE = 100;
const PAGE_SIZE_MAX = 500;

export interface DeviceDirectory {
  /** In a stable order. */
  list(): readonly DeviceRow[];
  /** @throws device.not-found, device.ambiguous */
  find(text: string): DeviceRow;
  lastSeenAt(id: string): number | undefined;
  /** @throws device.not-found, device.last-owner */
  revoke(id: string, at: number, mutation: Mutation<DeviceRow>): Promise<DeviceRow>;
  /** @throws device.not-found */
  release(id: string, mutation: Mutation<DeviceRow>): Promise<DeviceRow>;
}

export function deviceService(
  router: Router<Peer>,
  {
    guard,
    devices,
    clock,
  }: { readonly guard: Guard; readonly devices: DeviceDirectory; readonly clock: Clock },
): void {
  const record = (row: DeviceRow) => ({
    id: row.id,
    name: row.name,
    role: row.role,
    state: row.state,
    pairedAt: row.pairedAt,
    lastSeenAt: devices.lastSeenAt(row.id) ?? 0,
    certificateExpiresAt: row.certificateExpiresAt,
    revokedAt: row.revokedAt ?? 0,
    quarantinedAt: row.quarantinedAt ?? 0,
    kind: row.kind,
    platform: row.platform,
    fingerprint: fingerprintOf(row.identityKey),
  });

  router.handle(METHODS.Device.List, ({ pageSize, pageToken }) => {
    const { page, next } = pageOf(devices.list(), pageSize, pageToken);
    return { devices: page.map(record), nextPageToken: next };
  });

  router.handle(METHODS.Device.Show, ({ device }) => record(devices.find(device)));

  router.handle(METHODS.Device.Revoke, (request, context) => {
    const { id } = devices.find(request.device);
    return mutate(METHODS.Device.Revoke, {
      ...{ context, request, granted: guard.granted(context), reply: record },
      change: (mutation) => devices.revoke(id, clock.now(), mutation),
    });
  });

  router.handle(METHODS.Device.Release, (request, context) => {
    const { id } = devices.find(request.device);
    return mutate(METHODS.Device.Release, {
      ...{ context, request, granted: guard.granted(context), reply: record },
      change: (mutation) => devices.release(id, mutation),
    });
  });
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
