import { join } from "node:path";

/**
 * The vault's folder.
 *
 * | file | what |
 * | --- | --- |
 * | `header` | vault id and keyring; there from the moment the vault exists |
 * | `journal-NNNNNNNNNN` | segments, numbered from 1 without gaps; the last one grows |
 * | `snapshot-NNNNNNNNNN` | the image as it stood where the segment of that number begins |
 *
 * Every state a crash can leave, and what opening makes of it:
 *
 * | files | state | then |
 * | --- | --- | --- |
 * | no header, nothing or an empty segment 1 | creation was cut short | starts again; a key file is left unused |
 * | no header, anything else | the header was lost | `vault.damaged` |
 * | header, segments 1 … n | no checkpoint yet | replays them all |
 * | header, snapshot k, segments k … n | the usual | loads the snapshot, replays |
 * | the same, with segments or snapshots below k | a checkpoint was cut short before its cleaning up | checks them too, then removes them |
 * | the last segment ends inside a group | a write was cut short; nobody was told it had happened | cuts that group away |
 * | a gap in the numbers, snapshot k without segment k, no segment at all | files were lost | `vault.damaged` |
 * | `.name.….tmp` | an atomic write was cut short | removes them |
 */
export const HEADER_NAME = "header";

const NUMBERED = /^(journal|snapshot)-(\d{10})$/;

export function segmentName(number: number): string {
  return `journal-${padded(number)}`;
}

export function snapshotName(number: number): string {
  return `snapshot-${padded(number)}`;
}

export function segmentPath(dir: string, number: number): string {
  return join(dir, segmentName(number));
}

export function snapshotPath(dir: string, number: number): string {
  return join(dir, snapshotName(number));
}

export function headerPath(dir: string): string {
  return join(dir, HEADER_NAME);
}

export interface VaultFolder {
  readonly hasHeader: boolean;
  /** Rising. */
  readonly segments: readonly number[];
  /** Rising. */
  readonly snapshots: readonly number[];
  readonly strangers: readonly string[];
}

export function parseFolder(names: readonly string[]): VaultFolder {
  const numbered = (kind: string): number[] =>
    names
      .map((name) => NUMBERED.exec(name))
      .filter((match) => match?.[1] === kind)
      .map((match) => Number(match?.[2]))
      .sort((a, b) => a - b);
  return {
    hasHeader: names.includes(HEADER_NAME),
    segments: numbered("journal"),
    snapshots: numbered("snapshot"),
    strangers: names.filter((name) => name !== HEADER_NAME && !NUMBERED.test(name)),
  };
}

function padded(number: number): string {
  return String(number).padStart(10, "0");
}
