/** Sets of policies and their sources as they are stored; `storage.proto` has the layout. */
import { GatehouseError } from "../core/index.ts";
import { gatehouse } from "../gen/index.ts";
import type { EntityName, PolicySource } from "./policy-set.ts";

const codecs = gatehouse.v1;

const CHANGES = ["put", "rm", "rollback", "rescue"] as const;

export type PolicySourceFacts = PolicySource & {
  /** From 1, of this source; 0 for what the gatehouse comes with. */
  readonly version: number;
  /** Unix ms; 0 for what the gatehouse comes with. */
  readonly at: number;
  /** Device id, or empty. */
  readonly by: string;
};

export interface PolicyEntry {
  readonly id: string;
  readonly version: number;
}

export interface StoredPolicySet {
  /** Unix ms. */
  readonly at: number;
  /** Device id, or empty. */
  readonly by: string;
  readonly what: (typeof CHANGES)[number];
  /** Ids of sources that differ from the set before. */
  readonly changed: readonly string[];
  /** Of a rollback or rescue: the set that it went back to. */
  readonly from: number;
  readonly entries: readonly PolicyEntry[];
  /** What the gatehouse comes with, instead of entries. */
  readonly isBuiltIn: boolean;
}

export function setKey(number: number): string {
  return `set/${String(number).padStart(16, "0")}`;
}

export function sourceKey({ id, version }: PolicyEntry): string {
  return `source/${id}/${String(version).padStart(10, "0")}`;
}

export function encodePolicySet({ changed, entries, ...set }: StoredPolicySet): Uint8Array {
  return codecs.StoredPolicySet.encode({
    ...set,
    changed: [...changed],
    entries: entries.map(({ id, version }) => ({ id, version })),
  }).finish();
}

/** @throws GatehouseError `vault.damaged` */
export function decodePolicySet(body: Uint8Array): StoredPolicySet {
  const { at, by, what, changed, from, entries, isBuiltIn } = codecs.StoredPolicySet.decode(body);
  const known = CHANGES.find((change) => change === what);
  if (known === undefined) throw damaged();
  return {
    ...{ at, by, what: known, changed: [...changed], from, isBuiltIn },
    entries: entries.map(({ id, version }) => ({ id: id ?? "", version: version ?? 0 })),
  };
}

export function encodePolicySource(source: PolicySourceFacts): Uint8Array {
  const { at, by } = source;
  if (!("template" in source))
    return codecs.StoredPolicySource.encode({ at, by, text: source.text }).finish();
  const { template, principal, resource } = source;
  return codecs.StoredPolicySource.encode({
    ...{ at, by, template },
    ...{ principalType: principal?.type ?? "", principalId: principal?.id ?? "" },
    ...{ resourceType: resource?.type ?? "", resourceId: resource?.id ?? "" },
  }).finish();
}

export function decodePolicySource(
  id: string,
  body: Uint8Array,
): PolicySource & { readonly at: number; readonly by: string } {
  const stored = codecs.StoredPolicySource.decode(body);
  const { at, by, text, template } = stored;
  if (template === "") return { id, text, at, by };
  const principal = entity(stored.principalType, stored.principalId);
  const resource = entity(stored.resourceType, stored.resourceId);
  return {
    ...{ id, template, at, by },
    ...(principal === undefined ? {} : { principal }),
    ...(resource === undefined ? {} : { resource }),
  };
}

function entity(type: string, id: string): EntityName | undefined {
  return type === "" ? undefined : { type, id };
}

function damaged(): GatehouseError<"vault.damaged"> {
  return new GatehouseError("vault.damaged", "a set of policies in the vault is not one that was written");
}
