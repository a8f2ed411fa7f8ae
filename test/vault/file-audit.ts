import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { fromUtf8 } from "../../src/core/index.ts";
import type { AuditSink } from "../../src/vault/index.ts";

/** An audit log that outlives its process: one line `<sequence> <event>` each. */
export class FileAudit implements AuditSink {
  readonly #path: string;
  #last: number;

  constructor(path: string) {
    this.#path = path;
    this.#last = this.lines().at(-1)?.sequence ?? 0;
  }

  get lastJournalSequence(): number {
    return this.#last;
  }

  lines(): readonly { readonly sequence: number; readonly event: string }[] {
    if (!existsSync(this.#path)) return [];
    const lines = readFileSync(this.#path, "utf8").split("\n").slice(0, -1);
    return lines.map((line) => ({ sequence: Number.parseInt(line, 10), event: line.split(" ")[1] ?? "" }));
  }

  committed(sequence: number, events: readonly Uint8Array[]): void {
    appendFileSync(this.#path, `${sequence} ${events.map(fromUtf8).join(",")}\n`);
    this.#last = sequence;
  }

  sync(): Promise<void> {
    return Promise.resolve();
  }
}
