import { shortId } from "./device-document.ts";
import { printable, type Style } from "./style.ts";

export interface Right {
  readonly action: string;
  /** Such as `shared/…`. */
  readonly resource: string;
  readonly allowed: boolean;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };

export function asRight({ action, resource, allowed }: Nullable<Right>): Right {
  return { action: action ?? "", resource: resource ?? "", allowed: allowed ?? false };
}

/** What a device may do and then what it may not, each by resource, in the order the gatehouse gave. */
export function rightsTable(rights: readonly Right[], deviceId: string, style: Style): string {
  const part = (title: string, isAllowed: boolean) => {
    const rows = byResource(rights.filter(({ allowed }) => allowed === isAllowed));
    return rows.length === 0 ? [] : [title, ...lines(rows, deviceId)];
  };
  return [...part(style.green("may"), true), ...part(style.dim("may not"), false)].join("\n");
}

interface Row {
  readonly resource: string;
  readonly actions: readonly string[];
}

function byResource(rights: readonly Right[]): readonly Row[] {
  const names = [...new Set(rights.map(({ resource }) => resource))];
  return names.map((resource) => ({
    resource,
    actions: rights.flatMap((right) => (right.resource === resource ? [right.action] : [])),
  }));
}

function lines(rows: readonly Row[], deviceId: string): readonly string[] {
  const cells = rows.map(({ resource, actions }) => {
    return [
      printable(resource.replace(deviceId, `${shortId(deviceId)}…`)),
      printable(actions.join(", ")),
    ] as const;
  });
  const width = Math.max(...cells.map(([resource]) => resource.length));
  return cells.map(([resource, actions]) => `  ${resource.padEnd(width)}  ${actions}`);
}
