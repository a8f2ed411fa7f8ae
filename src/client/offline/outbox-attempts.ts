/** Sends calls that wait, each under its one request id, and says what came of it. */
import { type Clock, type GatehouseError, isGatehouseError, LIMITS, unixMs } from "../../core/index.ts";
import type { OutboxFolder } from "./outbox-folder.ts";
import { idIn, type Outcome, type QueuedCall } from "./outbox-format.ts";
import { afterDoubt, forgotten, isForLater, leavesDoubt } from "./outbox-rules.ts";
import type { OutboxWire } from "./outbox-wire.ts";

/** What is written down of a call that is sent again and again is at most so old. */
const SENT_GRAIN_MS = 60_000;

/** It is to be sent again, after so long if the gatehouse said so. */
export interface Later {
  readonly kind: "later";
  readonly retryAfterMs: number | undefined;
}

export interface OutboxAttemptsParts {
  readonly folder: OutboxFolder;
  readonly wire: OutboxWire;
  readonly clock: Clock;
}

/** What this process knows of a call beyond its file. */
interface Notes {
  /** An attempt was not answered. */
  isDoubtful: boolean;
  /** When it was first sent, on the monotonic clock; undefined: not in this process. */
  sentMs: number | undefined;
}

export class OutboxAttempts {
  readonly #parts: OutboxAttemptsParts;
  readonly #notes = new Map<string, Notes>();

  constructor(parts: OutboxAttemptsParts) {
    this.#parts = parts;
  }

  /** Borrows `call`. @throws file.io */
  async make(stem: string, call: QueuedCall, signal: AbortSignal): Promise<Outcome | Later> {
    const notes = this.#notesOf(stem);
    // Another process sent it, and has not heard of it.
    if (call.sent !== undefined && notes.sentMs === undefined) notes.isDoubtful = true;
    if (this.#isForgotten(call, notes)) return failed(forgotten());
    const attempt = { isSent: false };
    try {
      return { kind: "answered", response: await this.#send({ stem, call, notes, attempt }, signal) };
    } catch (failure) {
      if (signal.aborted) return { kind: "later", retryAfterMs: undefined };
      if (!isGatehouseError(failure)) throw failure;
      if (!isForLater(failure)) return failed(notes.isDoubtful ? afterDoubt(failure) : failure);
      notes.isDoubtful ||= attempt.isSent && leavesDoubt(failure);
      return { kind: "later", retryAfterMs: failure.retryAfterMs };
    }
  }

  /** It has come to its end. */
  forget(stem: string): void {
    this.#notes.delete(stem);
  }

  /** Whether the gatehouse may have forgotten that it has seen the call. Clocks that went back are not believed. */
  #isForgotten({ sent }: QueuedCall, { sentMs }: Notes): boolean {
    if (sent === undefined) return false;
    const { clock } = this.#parts;
    const [now, nowMs] = [clock.now(), clock.monotonicMs()];
    return (
      now < Math.max(sent.firstAt, sent.lastAt) - LIMITS.clockStepMs ||
      now - sent.firstAt >= LIMITS.outboxSentMs ||
      nowMs - (sentMs ?? nowMs) >= LIMITS.outboxSentMs
    );
  }

  async #send(
    {
      stem,
      call,
      notes,
      attempt,
    }: { stem: string; call: QueuedCall; notes: Notes; attempt: { isSent: boolean } },
    signal: AbortSignal,
  ): Promise<Uint8Array> {
    const { wire } = this.#parts;
    // What never left this machine may wait for ever; what did, a day.
    if (call.sent === undefined && !wire.isOpen) await wire.reach(signal);
    await this.#markSent(stem, call, notes);
    attempt.isSent = true;
    const { method, request, timeoutMs } = call;
    const unanswered = (): void => {
      notes.isDoubtful = true;
    };
    return await wire.send({ method, request, timeoutMs, requestId: idIn(stem) }, { signal, unanswered });
  }

  /** On disk before anything leaves. */
  async #markSent(stem: string, call: QueuedCall, notes: Notes): Promise<void> {
    const { folder, clock } = this.#parts;
    const now = clock.now();
    const { sent } = call;
    if (sent === undefined || now - sent.lastAt >= SENT_GRAIN_MS) {
      const lastAt = unixMs(Math.max(now, sent?.lastAt ?? 0));
      await folder.writeCall(stem, { ...call, sent: { firstAt: sent?.firstAt ?? now, lastAt } });
    }
    notes.sentMs ??= clock.monotonicMs();
  }

  #notesOf(stem: string): Notes {
    const known = this.#notes.get(stem);
    if (known !== undefined) return known;
    const notes: Notes = { isDoubtful: false, sentMs: undefined };
    this.#notes.set(stem, notes);
    return notes;
  }
}

export function failed(error: GatehouseError): Outcome {
  return { kind: "failed", error };
}
