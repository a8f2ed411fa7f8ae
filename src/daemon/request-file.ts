import { RequestRecorder } from "../authz/index.ts";
import { type Clock, isGatehouseError, type Logger } from "../core/index.ts";
import { LABELS } from "../crypto/index.ts";
import { readSmallFile, writeExpendable } from "../files/index.ts";
import type { Vault } from "../vault/index.ts";

const FILE_BYTES_MAX = 16 * 2 ** 20;
/** Some ten milliseconds each time, and what a crash loses of it is no loss. */
const KEEP_PAUSE_MS = 300_000;

export interface RequestFileParts {
  readonly vault: Vault;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What policies were asked lately, between two lives of the daemon: sealed under the vault's key, and expendable. */
export class RequestFile implements AsyncDisposable {
  readonly recorder: RequestRecorder;
  readonly #path: string;
  readonly #vault: Vault;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #kept: number;
  #keptAtMs: number;

  private constructor(recorder: RequestRecorder, path: string, { vault, clock, logger }: RequestFileParts) {
    this.recorder = recorder;
    this.#path = path;
    this.#vault = vault;
    this.#clock = clock;
    this.#logger = logger;
    this.#kept = recorder.turns;
    this.#keptAtMs = clock.monotonicMs();
  }

  /** What is not there, or damaged, is begun anew. @throws file.io */
  static async open(path: string, parts: RequestFileParts): Promise<RequestFile> {
    const { vault, logger } = parts;
    const sealed = await readIfThere(path);
    const bytes = sealed === undefined ? undefined : vault.openSmall(LABELS.policyRequests, sealed);
    const known = bytes === undefined ? undefined : RequestRecorder.decode(bytes);
    bytes?.fill(0);
    if (sealed !== undefined && known === undefined) logger.warn("policy-requests-dropped");
    return new RequestFile(known ?? new RequestRecorder(), path, parts);
  }

  /** A duty of the rounds. @throws file.io */
  async look(): Promise<void> {
    if (this.#clock.monotonicMs() - this.#keptAtMs >= KEEP_PAUSE_MS) await this.#keep();
  }

  async #keep(): Promise<void> {
    this.#keptAtMs = this.#clock.monotonicMs();
    const { turns } = this.recorder;
    if (turns === this.#kept) return;
    this.#kept = turns;
    const bytes = this.recorder.encode();
    const sealed = this.#vault.sealSmall(LABELS.policyRequests, bytes);
    bytes.fill(0);
    await writeExpendable(this.#path, sealed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keep().catch((failure: unknown) => {
      this.#logger.warn("policy-requests-not-kept", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
    });
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readSmallFile(path, FILE_BYTES_MAX);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found") || isGatehouseError(failure, "file.too-large"))
      return undefined;
    throw failure;
  }
}
