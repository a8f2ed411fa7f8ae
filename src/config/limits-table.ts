/** `[limits]`: how much each device may ask for. */
import { formatByteSize, parseByteSize } from "./byte-size.ts";
import { atPlace, refuseUnknownKeys, type Table, tableAt, textAt } from "./config-file.ts";
import { formatRate, parseRate, type Rate } from "./rate.ts";

/**
 * | key | meaning | default |
 * | --- | --- | --- |
 * | `limits.calls` | calls of one device, pings aside: each is a line in the audit log | `2000/s` |
 * | `limits.denials` | denied calls of one device | `20/s` |
 * | `limits.own_folder` | what one device may keep below `devices/<its id>/` | `64MiB` |
 * | `limits.actions."ACTION"` | calls of one device for that action | `60/m` for `tool:run`, none for others |
 */
export interface DeviceLimits {
  readonly calls: Rate;
  readonly denials: Rate;
  readonly ownFolderBytes: number;
  readonly actions: ReadonlyMap<string, Rate>;
  /** Names, as `describeDeviceLimits` gives them, of those that the file said. */
  readonly said: ReadonlySet<string>;
}

const KEYS = ["calls", "denials", "own_folder", "actions"] as const;

export const DEFAULT_DEVICE_LIMITS: DeviceLimits = Object.freeze({
  calls: { count: 2_000, periodMs: 1_000 },
  denials: { count: 20, periodMs: 1_000 },
  ownFolderBytes: 64 * 2 ** 20,
  actions: new Map([["tool:run", { count: 60, periodMs: 60_000 }]]),
  said: new Set<string>(),
});

/** @throws GatehouseError `config.invalid` */
export function parseDeviceLimits(value: unknown, file: string): DeviceLimits {
  const place = `${file}: limits`;
  const table = tableAt(value, place);
  refuseUnknownKeys(table, KEYS, place);
  const read = <Value>(key: (typeof KEYS)[number], parse: (text: string) => Value): Value | undefined =>
    key in table ? atPlace(`${place}.${key}`, () => parse(textAt(table[key], `${place}.${key}`))) : undefined;
  const defaults = DEFAULT_DEVICE_LIMITS;
  const actions = new Map(actionRates(table["actions"] ?? {}, `${place}.actions`));
  const said = [
    ...Object.keys(table)
      .filter((key) => key !== "actions")
      .map((key) => `limits.${key}`),
    ...[...actions.keys()].map(nameOfAction),
  ];
  return Object.freeze({
    calls: read("calls", parseRate) ?? defaults.calls,
    denials: read("denials", parseRate) ?? defaults.denials,
    ownFolderBytes: read("own_folder", parseByteSize) ?? defaults.ownFolderBytes,
    actions: new Map([...defaults.actions, ...actions]),
    said: new Set(said),
  });
}

/** As the file would say it, for `config show`. */
export function describeDeviceLimits({ calls, denials, ownFolderBytes, actions }: DeviceLimits): Table {
  return {
    "limits.calls": formatRate(calls),
    "limits.denials": formatRate(denials),
    "limits.own_folder": formatByteSize(ownFolderBytes),
    ...Object.fromEntries([...actions].map(([action, rate]) => [nameOfAction(action), formatRate(rate)])),
  };
}

function nameOfAction(action: string): string {
  return `limits.actions."${action}"`;
}

function actionRates(value: unknown, place: string): readonly (readonly [string, Rate])[] {
  return Object.entries(tableAt(value, place)).map(([action, rate]) => {
    const at = `${place}."${action}"`;
    return [action, atPlace(at, () => parseRate(textAt(rate, at)))] as const;
  });
}
