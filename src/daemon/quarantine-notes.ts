import { basename } from "node:path";
import { isGatehouseError, LIMITS, type Logger } from "../core/index.ts";
import { AppendFile, writeAtomic } from "../files/index.ts";
import { type DeviceId, isDeviceId } from "../identity/index.ts";
import { encodeNote, type FreezeNote } from "./watchdog-note.ts";

/** A note as it was read: its device has the shape of an id, and may be unknown all the same. */
export interface CheckedNote extends FreezeNote {
  readonly device: DeviceId | undefined;
}

/**
 * The notes that the watchdog left in `path`. What is no note is reported and set aside in `<path>.damaged`; the good
 * lines beside it count. Never keeps the door shut: a file that cannot be read at all is reported, and no more.
 */
export async function readNotes(path: string, logger: Logger): Promise<readonly CheckedNote[]> {
  let bytes: Uint8Array;
  let isCut: boolean;
  try {
    ({ bytes, isCut } = await newestBytes(path));
  } catch (failure) {
    if (!isGatehouseError(failure, "file.not-found"))
      report("freeze-notes-unreadable", failure, path, logger);
    return [];
  }
  const { notes, isDamaged } = parse(bytes, isCut);
  const kept = notes.slice(-LIMITS.freezeNotes);
  try {
    if (isDamaged) await setAside(path, bytes, logger);
    if (isDamaged || kept.length < notes.length) await writeNotes(path, kept);
  } catch (failure) {
    report("freeze-notes-not-mended", failure, path, logger);
  }
  return kept;
}

/** Takes out the notes of one device, durably. @throws file.io */
export async function forgetNotesOf(device: DeviceId, path: string, logger: Logger): Promise<void> {
  const notes = await readNotes(path, logger);
  if (notes.some((note) => note.device === device)) {
    await writeNotes(
      path,
      notes.filter((note) => note.device !== device),
    );
  }
}

/** All of the file, or of one that is too large the end of it, which is newest. */
async function newestBytes(path: string): Promise<{ readonly bytes: Uint8Array; readonly isCut: boolean }> {
  await using file = await AppendFile.open(path, { create: false });
  const start = Math.max(0, file.size - LIMITS.freezeNotesBytes);
  return { bytes: await file.read(start, LIMITS.freezeNotesBytes), isCut: start > 0 };
}

function parse(
  bytes: Uint8Array,
  isCut: boolean,
): { readonly notes: readonly CheckedNote[]; readonly isDamaged: boolean } {
  const lines = Buffer.from(bytes)
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
  const notes = lines.flatMap((line) => parseNote(line) ?? []);
  return { notes, isDamaged: isCut || notes.length < lines.length };
}

function parseNote(line: string): CheckedNote | undefined {
  let fields: unknown;
  try {
    fields = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof fields !== "object" || fields === null) return undefined;
  const { device, at, silentMs } = fields as Readonly<Record<string, unknown>>;
  if (!isCount(at) || !isCount(silentMs)) return undefined;
  if (device === null) return { device: undefined, at, silentMs };
  return typeof device === "string" && isDeviceId(device) ? { device, at, silentMs } : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function report(event: string, failure: unknown, path: string, logger: Logger): void {
  logger.error(event, {
    file: basename(path),
    error: failure instanceof Error ? failure.message : "unknown",
  });
}

async function setAside(path: string, bytes: Uint8Array, logger: Logger): Promise<void> {
  const aside = `${path}.damaged`;
  logger.error("freeze-notes-damaged", { file: basename(path), setAside: basename(aside) });
  await writeAtomic(aside, bytes);
}

async function writeNotes(path: string, notes: readonly FreezeNote[]): Promise<void> {
  await writeAtomic(path, Buffer.from(notes.map(encodeNote).join("")));
}
