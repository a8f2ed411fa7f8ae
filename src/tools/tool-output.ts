import type { Readable } from "node:stream";
import { LIMITS } from "../core/index.ts";
import { Scrubber } from "./scrubber.ts";
import type { ToolOutputEvent } from "./tool-events.ts";

interface Channel {
  readonly stream: ToolOutputEvent["stream"];
  readonly source: Readable;
  readonly scrubber: Scrubber;
  isOver: boolean;
}

export interface ToolOutputInput {
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Of the call's secrets; borrowed. */
  readonly scrubber: Scrubber;
  readonly bytesMax: number;
  /** There may be something to take. */
  readonly onChange: () => void;
}

/**
 * Both streams of a tool, scrubbed, cut into events, and ended at the limit. It reads when somebody takes: until then
 * the pipes fill and the tool waits.
 */
export class ToolOutput {
  #channels: readonly Channel[];
  readonly #ready: ToolOutputEvent[] = [];
  #left: number;
  #isEndGenuine = true;
  #isTruncated = false;
  #isAboveLimit = false;

  constructor({ stdout, stderr, scrubber, bytesMax, onChange }: ToolOutputInput) {
    this.#left = bytesMax;
    this.#channels = [
      { stream: "stdout", source: stdout, scrubber, isOver: false },
      { stream: "stderr", source: stderr, scrubber: new Scrubber(scrubber), isOver: false },
    ];
    for (const { source } of this.#channels) {
      for (const event of ["readable", "end", "close", "error"]) source.on(event, onChange);
    }
  }

  /** Both streams have ended, and all of it was taken. */
  get isOver(): boolean {
    return this.#ready.length === 0 && this.#channels.every(({ isOver }) => isOver);
  }

  get isTruncated(): boolean {
    return this.#isTruncated;
  }

  get isAboveLimit(): boolean {
    return this.#isAboveLimit;
  }

  /** The next piece; `undefined` while there is none. */
  take(): ToolOutputEvent | undefined {
    for (const channel of this.#ready.length > 0 ? [] : this.#channels) {
      const bytes = this.#read(channel);
      if (bytes === undefined) continue;
      this.#admit(channel.stream, bytes);
      // Whoever was heard goes to the end of the line.
      this.#channels = this.#channels.toReversed();
      break;
    }
    return this.#ready.shift();
  }

  /** The tool is being killed: what its last bytes would have become is not told, it may have been a secret. */
  expectEnd(): void {
    this.#isEndGenuine = false;
  }

  /** Reads no more. */
  discard(): void {
    this.#isTruncated = true;
    for (const channel of this.#channels) {
      channel.source.destroy();
      channel.isOver = true;
    }
  }

  /** At least one byte. */
  #read(channel: Channel): Uint8Array | undefined {
    const { source, scrubber } = channel;
    if (channel.isOver) return undefined;
    for (let chunk: unknown = source.read(); chunk instanceof Uint8Array; chunk = source.read()) {
      const bytes = scrubber.push(chunk);
      chunk.fill(0);
      if (bytes.length > 0) return bytes;
    }
    if (!source.readableEnded && !source.destroyed) return undefined;
    channel.isOver = true;
    const rest = scrubber.end();
    if (this.#isEndGenuine && rest.length > 0) return rest;
    this.#isTruncated ||= rest.length > 0;
    return undefined;
  }

  #admit(stream: ToolOutputEvent["stream"], bytes: Uint8Array): void {
    const kept = bytes.subarray(0, this.#left);
    this.#left -= kept.length;
    for (let start = 0; start < kept.length; start += LIMITS.toolChunkBytes) {
      const piece = kept.subarray(start, start + LIMITS.toolChunkBytes);
      this.#ready.push({ kind: "output", stream, bytes: piece });
    }
    if (kept.length === bytes.length) return;
    this.#isAboveLimit = true;
    this.discard();
  }
}
