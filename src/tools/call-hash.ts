/**
 * What a call's hash is made of, each text with a u32 length before it, each list with a u32 count:
 *
 * | field | |
 * | --- | --- |
 * | label | `gatehouse/v1/tools/call` |
 * | name | of the tool |
 * | command | templates |
 * | directory | |
 * | account | user and group: `uid:` or `name:` before each, empty when not declared |
 * | environment | names and values in turn, sorted by name |
 * | secrets | names and vault paths in turn, sorted by name |
 * | sandbox | empty, or its kind and network, the paths read, the paths written |
 * | bounds | time, output, memory, processor time, processes, files, file size, and whether the daemon's user is accepted, in decimal |
 * | arguments | names and values in turn, sorted by name |
 *
 * Whatever decides what the call does is in it, so that a yes to one does not cover another.
 */

import { ByteWriter, hex, utf8 } from "../core/index.ts";
import { LABELS, sha256 } from "../crypto/index.ts";
import type { ToolDefinition } from "./definition.ts";

/** SHA-256 in hex. */
export function hashCall(tool: ToolDefinition, values: Readonly<Record<string, string>>): string {
  const { account, sandbox } = tool;
  const writer = new ByteWriter().prefixed(utf8(LABELS.toolCall)).prefixed(utf8(tool.name));
  writeList(
    writer,
    tool.command.map(({ template }) => template),
  );
  writer.prefixed(utf8(tool.directory));
  writeList(writer, [idText(account?.user), idText(account?.group)]);
  writeList(writer, pairsOf(tool.environment));
  writeList(writer, pairsOf(tool.secrets));
  writeList(writer, sandbox === undefined ? [] : [sandbox.kind, sandbox.hasNetwork ? "network" : "alone"]);
  writeList(writer, sandbox?.read ?? []);
  writeList(writer, sandbox?.write ?? []);
  writeList(writer, boundsOf(tool));
  writeList(writer, pairsOf(values));
  return hex(sha256(writer.finish()));
}

function boundsOf({ timeoutMs, outputBytesMax, limits, mayRunAsDaemon }: ToolDefinition): readonly string[] {
  const { memoryBytes, cpuSeconds, processes, openFiles, fileSizeBytes } = limits;
  return [
    ...[timeoutMs, outputBytesMax, memoryBytes, cpuSeconds, processes, openFiles, fileSizeBytes],
    Number(mayRunAsDaemon),
  ].map((bound) => (bound === undefined ? "" : String(bound)));
}

function writeList(writer: ByteWriter, texts: readonly string[]): void {
  writer.u32(texts.length);
  for (const text of texts) writer.prefixed(utf8(text));
}

function pairsOf(record: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(record)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flat();
}

function idText(id: string | number | undefined): string {
  if (id === undefined) return "";
  return typeof id === "number" ? `uid:${id}` : `name:${id}`;
}
