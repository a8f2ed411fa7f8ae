/** The authority as scripts and people see it. */
import type { Style } from "./style.ts";
import { facts, table } from "./table.ts";
import { ago, relativeDate } from "./words.ts";

export interface AuthorityDocument {
  /** Newest first. */
  readonly generations: readonly GenerationDocument[];
  readonly serverCertificate: { readonly serial: string; readonly expiresAt: number };
  /** Counts up with every revocation; the revocation lists' number. */
  readonly revocationEpoch: number;
}

export interface GenerationDocument {
  readonly number: number;
  /** `introduced`, `serving` or `retired`. */
  readonly state: string;
  /** Unix milliseconds, as are the others; 0 when its state stays as it is. */
  readonly createdAt: number;
  readonly expiresAt: number;
  readonly changesAt: number;
  /** DER in base64. */
  readonly certificate: string;
}

type Nullable<Fields> = { readonly [Key in keyof Fields]?: Fields[Key] | null };

interface AuthorityFields {
  readonly generations: readonly Nullable<
    Omit<GenerationDocument, "certificate"> & { certificate: Uint8Array }
  >[];
  readonly serverCertificateExpiresAt: number;
  readonly serverCertificateSerial: string;
  readonly revocationEpoch: number;
}

export function asAuthority(record: Nullable<AuthorityFields>): AuthorityDocument {
  return {
    generations: (record.generations ?? []).map((generation) => ({
      number: generation.number ?? 0,
      state: generation.state ?? "",
      createdAt: generation.createdAt ?? 0,
      expiresAt: generation.expiresAt ?? 0,
      changesAt: generation.changesAt ?? 0,
      certificate: Buffer.from(generation.certificate ?? []).toString("base64"),
    })),
    serverCertificate: {
      serial: record.serverCertificateSerial ?? "",
      expiresAt: record.serverCertificateExpiresAt ?? 0,
    },
    revocationEpoch: record.revocationEpoch ?? 0,
  };
}

const MEANINGS: Readonly<Record<string, string>> = {
  introduced: "certifies devices",
  serving: "certifies the gatehouse",
  retired: "known, certifies nobody",
};

export function describeAuthority(
  { generations, serverCertificate, revocationEpoch }: AuthorityDocument,
  { nowMs, style }: { readonly nowMs: number; readonly style: Style },
): string {
  const rows = generations.map(({ number, state, createdAt, expiresAt, changesAt }) => [
    ...[String(number), state, stateMeaning(state, generations), ago(createdAt, nowMs)],
    ...[relativeDate(expiresAt, nowMs), changesAt === 0 ? "" : relativeDate(changesAt, nowMs)],
  ]);
  const own = facts(
    [
      ["gatehouse's certificate", `expires ${relativeDate(serverCertificate.expiresAt, nowMs)}`],
      ["its serial", serverCertificate.serial],
      ["revocation epoch", String(revocationEpoch)],
    ],
    style,
  );
  return `${table(["generation", "state", "", "made", "expires", "changes by itself"], rows, style)}\n\n${own}`;
}

/** The only one there is certifies everybody. */
function stateMeaning(state: string, generations: readonly GenerationDocument[]): string {
  const isAlone = !generations.some((generation) => generation.state === "introduced");
  return state === "serving" && isAlone ? "certifies devices and the gatehouse" : (MEANINGS[state] ?? "");
}
