/** What policies let a device do, for people to read: one row for each action and kind of thing. */
import type { Action, Resource } from "../authz/index.ts";
import { type DeviceId, deviceIdOf } from "../identity/index.ts";
import type { DeviceRow } from "../vault/index.ts";

export interface Right {
  readonly action: Action;
  /** Such as `gatehouse` or `shared/…`. */
  readonly resource: string;
  readonly allowed: boolean;
}

const ON_GATEHOUSE = [
  ...["gatehouse:ping", "gatehouse:status", "device:list", "pair:open", "tool:list", "profile:list"],
  ...["approval:list", "policy:list", "authority:read", "authority:manage"],
] as const satisfies readonly Action[];
const ON_DEVICES = [
  ...["device:approve", "device:grant", "device:readmit", "device:release", "device:rename", "device:revoke"],
] as const satisfies readonly Action[];
const ON_SECRETS = [
  ...["secret:list", "secret:reveal", "secret:use", "secret:write", "secret:destroy"],
] as const satisfies readonly Action[];
/** Stands for folders that no policy names. */
const OTHER_FOLDER = "other";
/** Stands for any secret of a folder. */
const SOME = "any";
/** Stands for any other device: nobody has this key. */
const STRANGER = { kind: "device", id: deviceIdOf(new Uint8Array(32)), roles: ["member"] } as const;

/** `decide` answers whether the device may do that, were it to call now. */
export function rightsOf(
  { id }: Pick<DeviceRow, "id">,
  {
    gatehouseId,
    decide,
  }: {
    readonly gatehouseId: DeviceId;
    readonly decide: (action: Action, resource: Resource) => boolean;
  },
): readonly Right[] {
  const row = (action: Action, resource: string, about: Resource): Right => ({
    action,
    resource,
    allowed: decide(action, about),
  });
  const gatehouse: Resource = { kind: "gatehouse", id: gatehouseId };
  const folders = [`devices/${id}`, "shared", OTHER_FOLDER];
  return [
    ...ON_GATEHOUSE.map((action) => row(action, "gatehouse", gatehouse)),
    ...folders.flatMap((folder) =>
      ON_SECRETS.map((action) => row(action, `${folder}/…`, { kind: "secret", path: `${folder}/${SOME}` })),
    ),
    ...ON_DEVICES.map((action) => row(action, "other devices", STRANGER)),
    row("audit:read", "audit log", { kind: "audit-log" }),
  ];
}
