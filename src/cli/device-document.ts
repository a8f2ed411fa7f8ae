/** Devices as scripts and people see them. */
import { printable, type Style } from "./style.ts";
import { facts, table } from "./table.ts";
import { ago, grouped, relativeDate } from "./words.ts";

export interface DeviceDocument {
  readonly id: string;
  readonly name: string;
  readonly roles: readonly string[];
  /** All roles in one text, separated by commas. */
  readonly role: string;
  /** Whom it belongs to, or empty. */
  readonly user: string;
  readonly state: string;
  readonly kind: string;
  readonly platform: string;
  readonly fingerprint: string;
  readonly pairedAt: number;
  readonly lastSeenAt: number;
  readonly lastWire: string;
  readonly lastAddress: string;
  readonly certificateExpiresAt: number;
  readonly certificateSerial: string;
  readonly certificateGeneration: number;
  readonly revokedAt: number;
  readonly quarantinedAt: number;
  readonly heldAt: number;
  readonly readmittedUntil: number;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };

/** The fields one by one, so that nothing the schema gains later slips out unseen. */
export function asDevice(record: Nullable<Omit<DeviceDocument, "role">>): DeviceDocument {
  const roles = record.roles ?? [];
  return {
    id: record.id ?? "",
    name: record.name ?? "",
    roles,
    role: roles.join(","),
    user: record.user ?? "",
    state: record.state ?? "",
    kind: record.kind ?? "",
    platform: record.platform ?? "",
    fingerprint: record.fingerprint ?? "",
    pairedAt: record.pairedAt ?? 0,
    lastSeenAt: record.lastSeenAt ?? 0,
    lastWire: record.lastWire ?? "",
    lastAddress: record.lastAddress ?? "",
    certificateExpiresAt: record.certificateExpiresAt ?? 0,
    certificateSerial: record.certificateSerial ?? "",
    certificateGeneration: record.certificateGeneration ?? 0,
    revokedAt: record.revokedAt ?? 0,
    quarantinedAt: record.quarantinedAt ?? 0,
    heldAt: record.heldAt ?? 0,
    readmittedUntil: record.readmittedUntil ?? 0,
  };
}

/** The eight characters that commands and people tell devices by. */
export function shortId(id: string): string {
  return id.slice(0, 8);
}

/** `laptop (abcdefgh…)`, printable. */
export function nameOf({ name, id }: Pick<DeviceDocument, "name" | "id">): string {
  return `${printable(name)} (${shortId(id)}…)`;
}

export interface Shown {
  readonly nowMs: number;
  readonly style: Style;
}

/** A line for each device. */
export function deviceTable(devices: readonly DeviceDocument[], { nowMs, style }: Shown): string {
  const rows = devices.map((device) => {
    const { name, roles, state, lastSeenAt, id } = device;
    return [name, roles.join(", "), state, ago(lastSeenAt, nowMs), expiry(device, nowMs), shortId(id)];
  });
  return table(["name", "roles", "state", "last seen", "certificate ends", "id"], rows, style);
}

/** Everything there is to know of a device but its rights. */
export function describeDevice(
  device: DeviceDocument & { readonly connections?: number },
  { nowMs, style }: Shown,
): string {
  const { name, id, fingerprint, roles, kind, platform, pairedAt, connections, readmittedUntil } = device;
  return facts(
    [
      ["name", name],
      ["id", id],
      ["fingerprint", grouped(fingerprint)],
      ["roles", roles.length === 0 ? "none" : roles.join(", ")],
      ...(device.user === "" ? [] : [["user", device.user] as const]),
      ["state", stateSince(device, nowMs)],
      ["kind", [kind, platform].filter((text) => text !== "").join(", ")],
      ["paired", relativeDate(pairedAt, nowMs)],
      ["last seen", lastSight(device, nowMs)],
      ...(connections === undefined ? [] : [["connections", String(connections)] as const]),
      ["certificate", certificateOf(device, nowMs)],
      ...(readmittedUntil > nowMs
        ? [["readmitted", `until ${relativeDate(readmittedUntil, nowMs)}`] as const]
        : []),
    ],
    style,
  );
}

function stateSince({ state, revokedAt, quarantinedAt, heldAt }: DeviceDocument, nowMs: number): string {
  const sinceByState: Readonly<Record<string, number>> = {
    revoked: revokedAt,
    quarantined: quarantinedAt,
    held: heldAt,
  };
  const since = sinceByState[state] ?? 0;
  return since === 0 ? state : `${state} ${relativeDate(since, nowMs)}`;
}

function lastSight({ lastSeenAt, lastWire, lastAddress }: DeviceDocument, nowMs: number): string {
  const from = lastAddress === "" ? "" : ` from ${lastAddress}`;
  const over = lastWire === "" ? "" : ` over ${lastWire}`;
  return `${relativeDate(lastSeenAt, nowMs)}${over}${from}`;
}

function certificateOf(device: DeviceDocument, nowMs: number): string {
  const { certificateExpiresAt, certificateSerial, certificateGeneration } = device;
  const verb = certificateExpiresAt > nowMs ? "expires" : "expired";
  const issuer = certificateGeneration === 0 ? "" : `, of authority ${certificateGeneration}`;
  const serial = certificateSerial === "" ? "" : `, serial ${certificateSerial}`;
  return `${verb} ${relativeDate(certificateExpiresAt, nowMs)}${issuer}${serial}`;
}

function expiry({ certificateExpiresAt }: DeviceDocument, nowMs: number): string {
  const distance = ago(certificateExpiresAt, nowMs);
  return certificateExpiresAt > nowMs ? distance : `expired ${distance}`;
}
