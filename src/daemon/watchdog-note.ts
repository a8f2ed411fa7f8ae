/**
 * Notes of freezes, one line each, kept beside the vault because they are written by a thread that has nothing else:
 *
 *     {"device":"<canonical id>" | null,"at":<Unix ms>,"silentMs":<number>}
 */
import { closeSync, constants, fsyncSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";

/** A freeze as the watchdog saw it. */
export interface FreezeNote {
  /** Canonical id of the device whose connection was being handled, if one was. */
  readonly device: string | undefined;
  /** Wall clock, Unix ms. */
  readonly at: number;
  readonly silentMs: number;
}

export function encodeNote({ device, at, silentMs }: FreezeNote): string {
  return `${JSON.stringify({ device: device ?? null, at, silentMs: Math.round(silentMs) })}\n`;
}

/**
 * Adds a note to `path` (0600), durable on return: synchronous, since the process ends right after it. A line that was
 * cut short before stays a line of its own.
 * @throws the system's own errors
 */
export function appendNote(path: string, note: FreezeNote): void {
  const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
  const file = openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
  try {
    writeSync(file, `\n${encodeNote(note)}`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  const folder = openSync(dirname(path), constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
