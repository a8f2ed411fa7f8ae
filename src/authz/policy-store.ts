/** The sets of policies that were in force, and how the next one is made; what stores it is elsewhere. */
import { GatehouseError, LIMITS } from "../core/index.ts";
import {
  decodePolicySet,
  decodePolicySource,
  encodePolicySet,
  encodePolicySource,
  type PolicyEntry,
  type PolicySourceFacts,
  type StoredPolicySet,
  setKey,
  sourceKey,
} from "./policy-records.ts";
import type { PolicySource } from "./policy-set.ts";

/** Where the records lie. */
export interface PolicyRecords {
  get(key: string): Uint8Array | undefined;
  /** In order of key. */
  list(prefix: string): readonly { readonly key: string; readonly body: Uint8Array }[];
}

/** What is to be stored, all or nothing, while no other change of policies is made. */
export interface PolicyPlan {
  readonly changes: readonly { readonly key: string; readonly body: Uint8Array | undefined }[];
  readonly result: PolicyChange;
  /** What would be in force. */
  readonly sources: readonly PolicySource[];
}

export interface PolicyChange {
  /** Number of the set in force now. */
  readonly set: number;
  /** Ids of sources that differ. */
  readonly changed: readonly string[];
}

/** A set, with its sources as they were written. */
export interface PolicySetFacts {
  /** 0 for what the gatehouse comes with while nobody has changed it. */
  readonly number: number;
  readonly sources: readonly PolicySourceFacts[];
}

export interface PolicyAuthor {
  /** Unix ms. */
  readonly at: number;
  /** Device id; empty when the gatehouse does it by itself. */
  readonly by: string;
  /** Only while this set is in force. */
  readonly ifSet?: number | undefined;
}

export interface PolicyHistoryEntry extends Omit<StoredPolicySet, "entries" | "isBuiltIn"> {
  readonly number: number;
}

/** Read-only; each change is planned here and stored by whoever holds the records. */
export class PolicyStore {
  readonly #records: PolicyRecords;
  readonly #builtIn: readonly PolicySource[];

  /** `builtIn`: the policies that a gatehouse comes with. */
  constructor(records: PolicyRecords, builtIn: readonly PolicySource[]) {
    this.#records = records;
    this.#builtIn = builtIn;
  }

  /** Number of the set in force. */
  get current(): number {
    return this.#sets().at(-1)?.number ?? 0;
  }

  /** @throws GatehouseError `policy.not-found` for a set that is not kept. */
  set(number = this.current): PolicySetFacts {
    if (number === 0) return { number, sources: this.#builtInFacts() };
    const found = this.#stored(number);
    return {
      number,
      sources: found.isBuiltIn ? this.#builtInFacts() : found.entries.map((entry) => this.#source(entry)),
    };
  }

  /** Of the set in force. @throws GatehouseError `policy.not-found` */
  source(id: string): PolicySourceFacts {
    const found = this.set().sources.find((source) => source.id === id);
    if (found !== undefined) return found;
    throw noSuchPolicy();
  }

  /** Newest first, at most `limit`. */
  history(limit: number): readonly PolicyHistoryEntry[] {
    return this.#sets()
      .slice(-limit)
      .reverse()
      .map(({ number, set: { at, by, what, changed, from } }) => ({ number, at, by, what, changed, from }));
  }

  /** Adds a source or replaces the one of its id. @throws GatehouseError `policy.version-conflict`, `usage.bad-argument` */
  planPut(source: PolicySource, author: PolicyAuthor): PolicyPlan {
    checkSource(source);
    const { sources } = this.#base(author);
    const kept = sources.filter(({ id }) => id !== source.id);
    const version = this.#newestVersion(source.id) + 1;
    const added: PolicySourceFacts = { ...source, version, at: author.at, by: author.by };
    return this.#plan(
      { sources: [...kept, added], what: "put", changed: [source.id], added: [added] },
      author,
    );
  }

  /** @throws GatehouseError `policy.not-found`, `policy.version-conflict` */
  planRemove(id: string, author: PolicyAuthor): PolicyPlan {
    const { sources } = this.#base(author);
    const kept = sources.filter((source) => source.id !== id);
    if (kept.length === sources.length) throw noSuchPolicy();
    return this.#plan({ sources: kept, what: "rm", changed: [id], added: [] }, author);
  }

  /** Puts the sources of set `from` in force again; 0: what the gatehouse comes with. @throws GatehouseError as `set` */
  planRollback(from: number, author: PolicyAuthor, what: "rollback" | "rescue" = "rollback"): PolicyPlan {
    const before = this.#base(author);
    const { sources } = this.set(from);
    const changed = differing(before.sources, sources);
    return this.#plan({ sources, what, changed, from, added: [], isBuiltIn: this.#isBuiltIn(from) }, author);
  }

  #plan(next: NextSet, { at, by }: PolicyAuthor): PolicyPlan {
    const number = this.current + 1;
    const { sources, what, changed, from = 0, isBuiltIn = false } = next;
    // What the gatehouse comes with is kept as it is: a set that still has it must not change with the next release.
    const written = isBuiltIn ? [] : this.#written(sources, next.added);
    const entries = isBuiltIn ? [] : written.map(({ id, version }) => ({ id, version }));
    const set: StoredPolicySet = { at, by, what, changed, from, entries, isBuiltIn };
    const stored = isBuiltIn ? [] : written.filter((source) => !this.#hasSource(source));
    return {
      changes: [
        ...stored.map((source) => ({ key: sourceKey(source), body: encodePolicySource(source) })),
        { key: setKey(number), body: encodePolicySet(set) },
        ...this.#dropped(set),
      ],
      result: { set: number, changed },
      sources: sources.map(asSource),
    };
  }

  /** Sources that have never been written get their first version. */
  #written(
    sources: readonly PolicySourceFacts[],
    added: readonly PolicySourceFacts[],
  ): readonly PolicySourceFacts[] {
    return sources.map((source) =>
      source.version > 0 || added.includes(source)
        ? source
        : { ...source, version: this.#newestVersion(source.id) + 1 },
    );
  }

  /** Sets past the newest `LIMITS.policySetsKept`, and sources that no set has then. */
  #dropped(next: StoredPolicySet): readonly { readonly key: string; readonly body: undefined }[] {
    const sets = this.#sets();
    const gone = sets.slice(0, Math.max(0, sets.length + 1 - LIMITS.policySetsKept));
    if (gone.length === 0) return [];
    const kept = [...sets.slice(gone.length).map(({ set }) => set), next];
    const used = new Set(kept.flatMap(({ entries }) => entries.map(sourceKey)));
    const orphans = gone.flatMap(({ set }) => set.entries.map(sourceKey)).filter((key) => !used.has(key));
    return [...gone.map(({ number }) => setKey(number)), ...new Set(orphans)].map((key) => ({
      key,
      body: undefined,
    }));
  }

  /** @throws GatehouseError `policy.version-conflict` when another set is in force than the author saw. */
  #base({ ifSet }: PolicyAuthor): PolicySetFacts {
    const base = this.set();
    if (ifSet === undefined || ifSet === base.number) return base;
    throw new GatehouseError("policy.version-conflict", `set ${base.number} is in force, not ${ifSet}`, {
      hint: "look at what changed: gatehouse policy history",
    });
  }

  #sets(): readonly { readonly number: number; readonly set: StoredPolicySet }[] {
    return this.#records.list(SETS).map(({ key, body }) => ({
      number: Number(key.substring(SETS.length)),
      set: decodePolicySet(body),
    }));
  }

  #stored(number: number): StoredPolicySet {
    const body = this.#records.get(setKey(number));
    if (body !== undefined) return decodePolicySet(body);
    throw new GatehouseError("policy.not-found", `no set ${number} is kept`, {
      hint: "see which are: gatehouse policy history",
    });
  }

  #source({ id, version }: PolicyEntry): PolicySourceFacts {
    const body = this.#records.get(sourceKey({ id, version }));
    if (body !== undefined) return { ...decodePolicySource(id, body), version };
    throw new GatehouseError("vault.damaged", "a policy that a set has is missing", {
      hint: "put the set that the gatehouse comes with in force: gatehouse policy rescue",
    });
  }

  #hasSource(entry: PolicyEntry): boolean {
    return this.#records.get(sourceKey(entry)) !== undefined;
  }

  #newestVersion(id: string): number {
    const versions = this.#records
      .list(`source/${id}/`)
      .map(({ key }) => Number(key.substring(key.lastIndexOf("/") + 1)));
    return Math.max(0, ...versions);
  }

  #isBuiltIn(number: number): boolean {
    return number === 0 || this.#stored(number).isBuiltIn;
  }

  #builtInFacts(): readonly PolicySourceFacts[] {
    return this.#builtIn.map((source) => ({ ...source, version: 0, at: 0, by: "" }));
  }
}

interface NextSet {
  readonly sources: readonly PolicySourceFacts[];
  readonly what: StoredPolicySet["what"];
  readonly changed: readonly string[];
  readonly added: readonly PolicySourceFacts[];
  readonly from?: number;
  readonly isBuiltIn?: boolean;
}

const SETS = "set/";

function noSuchPolicy(): GatehouseError<"policy.not-found"> {
  return new GatehouseError("policy.not-found", "there is no policy source of that id", {
    hint: "see which there are: gatehouse policy ls",
  });
}

function checkSource(source: PolicySource): void {
  if ("template" in source) return;
  const sizeBytes = Buffer.byteLength(source.text);
  if (sizeBytes <= LIMITS.policySourceBytes) return;
  throw new GatehouseError(
    "usage.bad-argument",
    `a policy source has at most ${LIMITS.policySourceBytes} bytes`,
    {
      hint: "split it into several",
    },
  );
}

/** Ids of sources that are in one of both only, or not alike. */
function differing(
  before: readonly PolicySourceFacts[],
  after: readonly PolicySourceFacts[],
): readonly string[] {
  const texts = (sources: readonly PolicySourceFacts[]) =>
    new Map(sources.map((source) => [source.id, JSON.stringify(asSource(source))]));
  const [old, next] = [texts(before), texts(after)];
  return [...new Set([...old.keys(), ...next.keys()])].filter((id) => old.get(id) !== next.get(id)).sort();
}

function asSource({ version: _version, at: _at, by: _by, ...source }: PolicySourceFacts): PolicySource {
  return source;
}
