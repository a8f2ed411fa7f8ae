/** Looks for bytes in another process's memory, by `/proc/PID/mem`: for Linux, and for who may trace that process. */
import { closeSync, constants, openSync, readFileSync, readSync } from "node:fs";

const CHUNK_BYTES = 16_777_216;

/** One place where the needle was found. */
export interface Finding {
  readonly address: string;
  /** As `/proc/PID/maps` names the region: `[heap]`, a file, or nothing. */
  readonly region: string;
  /** The bytes around it. */
  readonly around: Buffer;
}

export interface Search {
  readonly found: readonly Finding[];
  readonly searchedBytes: number;
}

/** Every place of `needle` in the readable and writable memory of `pid`. */
export function searchMemory(pid: number, needle: Uint8Array): Search {
  const memory = openSync(`/proc/${pid}/mem`, constants.O_RDONLY);
  const found: Finding[] = [];
  let searchedBytes = 0;
  try {
    for (const { start, end, name } of regionsOf(pid)) {
      for (let at = start; at < end; at += CHUNK_BYTES) {
        // A needle that lies across two chunks is found in the first of them.
        const chunk = readSome(memory, at, Math.min(CHUNK_BYTES + needle.length - 1, end - at));
        searchedBytes += Math.min(chunk.length, CHUNK_BYTES);
        for (let hit = chunk.indexOf(needle); hit >= 0; hit = chunk.indexOf(needle, hit + 1)) {
          if (hit >= CHUNK_BYTES) break;
          const around = Buffer.from(chunk.subarray(Math.max(0, hit - 48), hit + needle.length + 32));
          found.push({ address: (at + hit).toString(16), region: name, around });
        }
      }
    }
  } finally {
    closeSync(memory);
  }
  return { found, searchedBytes };
}

interface Region {
  readonly start: number;
  readonly end: number;
  readonly name: string;
}

function regionsOf(pid: number): readonly Region[] {
  return readFileSync(`/proc/${pid}/maps`, "utf8")
    .split("\n")
    .flatMap((line) => {
      const match = /^([0-9a-f]+)-([0-9a-f]+) (r\S{3}) \S+ \S+ \S+\s*(.*)$/.exec(line);
      if (match === null) return [];
      const [, start = "", end = "", , name = ""] = match;
      return name === "[vvar]" || name === "[vsyscall]"
        ? []
        : [{ start: Number.parseInt(start, 16), end: Number.parseInt(end, 16), name }];
    });
}

/** Pages that were never touched, or go away meanwhile, are nothing. */
function readSome(file: number, at: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let done = 0;
  try {
    while (done < length) {
      const count = readSync(file, bytes, done, length - done, at + done);
      if (count === 0) break;
      done += count;
    }
  } catch {
    // What was read until here counts.
  }
  return bytes.subarray(0, done);
}
