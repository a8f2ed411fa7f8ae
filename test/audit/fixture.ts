import { createSecretKey, type KeyObject } from "node:crypto";
import { chmod, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import { type AuditEntry, type AuditFields, AuditLog, type AuditLogOptions } from "../../src/audit/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { SeededRandom } from "../support/seeded-random.ts";

export const KEY: KeyObject = createSecretKey(new Uint8Array(32).fill(7));
export const SEGMENT_HEADER_BYTES = 112;

const made: string[] = [];

afterEach(async () => {
  await Promise.all(made.splice(0).map((dir) => rm(dir, { recursive: true, force: true })));
});

/** A new private directory, removed after the test. */
export async function freshDir(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "gatehouse-audit-"));
  made.push(dir);
  return dir;
}

/** A copy of a log's directory. */
export async function copyOf(dir: string): Promise<string> {
  const copy = await freshDir();
  await cp(dir, copy, { recursive: true });
  await chmod(copy, 0o700);
  return copy;
}

let seed = 1;

export async function openLog(dir: string, options: Partial<AuditLogOptions> = {}): Promise<AuditLog> {
  seed += 1;
  return AuditLog.open({
    dir,
    key: KEY,
    clock: new ManualClock(),
    random: new SeededRandom(seed),
    ...options,
  });
}

export function fields(overrides: Partial<AuditFields> = {}): AuditFields {
  return { action: "secret:reveal", resource: "secret:shared/db", outcome: "allowed", ...overrides };
}

/** Writes a log of `count` groups of one record each, named r1, r2, …, and closes it. */
export async function writtenLog(count: number): Promise<string> {
  const dir = await freshDir();
  await using log = await openLog(dir);
  for (let index = 1; index <= count; index += 1) await log.append(fields({ resource: `r${index}` }));
  return dir;
}

export async function entriesOf(log: AuditLog, after = 0): Promise<AuditEntry[]> {
  const entries: AuditEntry[] = [];
  for await (const entry of log.records({ after })) entries.push(entry);
  return entries;
}

export async function resourcesOf(log: AuditLog): Promise<string[]> {
  return (await entriesOf(log)).map(({ event }) => event.resource);
}

export const segmentPath = (dir: string, number = 1): string =>
  join(dir, `segment-${String(number).padStart(8, "0")}.gha`);

export async function segmentBytes(dir: string, number = 1): Promise<Buffer> {
  return readFile(segmentPath(dir, number));
}

export async function putSegment(dir: string, bytes: Uint8Array, number = 1): Promise<void> {
  await writeFile(segmentPath(dir, number), bytes, { mode: 0o600 });
}

/** Offsets at which the groups of a segment begin, and the file's end. */
export function groupOffsets(bytes: Buffer): number[] {
  const offsets: number[] = [];
  let offset = SEGMENT_HEADER_BYTES;
  while (offset < bytes.length) {
    offsets.push(offset);
    offset += 32 + bytes.readUInt32BE(offset);
  }
  return [...offsets, offset];
}

/** Fills the log up to its `segments`th file with large records. */
export async function fillSegments(log: AuditLog, segments: number): Promise<void> {
  const detail = { padding: "x".repeat(60_000) };
  for (let index = 0; index < (segments - 1) * 5 + 1; index += 1) {
    await Promise.all(Array.from({ length: 15 }, () => log.append(fields({ detail }))));
  }
}
