import type { AuditLog } from "../audit/index.ts";
import { type Clock, isGatehouseError, type Logger, type Random } from "../core/index.ts";
import type { ApprovalDesk } from "../services/index.ts";
import { type Approval, ApprovalBook } from "../tools/index.ts";
import type { Shelf } from "../vault/index.ts";

export interface ApprovalDeskParts {
  readonly shelf: Shelf;
  readonly audit: Pick<AuditLog, "encodeEvent">;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Whoever changes approvals holds it. */
const LOCK = ["approval"];
/** Until what has expired is tried to be written down again. */
const RETRY_MS = 15_000;

/** The vault's approvals, with the clock that ends them. */
export class Approvals implements ApprovalDesk, Disposable {
  readonly #parts: ApprovalDeskParts;
  readonly #book: ApprovalBook;
  readonly #listeners = new Set<() => void>();
  readonly #subscription: Disposable;
  #timer: Disposable | undefined;
  #isClosed = false;

  /** @throws MalformedBytes for a record that is none. */
  constructor(parts: ApprovalDeskParts) {
    this.#parts = parts;
    this.#book = new ApprovalBook(parts.shelf, parts.random);
    this.#subscription = parts.shelf.subscribe((key) => {
      this.#book.follow(key);
      this.#changed();
    });
    this.#schedule();
  }

  readonly list: ApprovalDesk["list"] = () => this.#book.list(this.#now);
  readonly find: ApprovalDesk["find"] = (text) => this.#book.find(text, this.#now);
  readonly openFor: ApprovalDesk["openFor"] = (use) => this.#book.openFor(use);
  readonly checkNew: ApprovalDesk["checkNew"] = (replay) => this.#parts.shelf.checkNew(replay);

  readonly request: ApprovalDesk["request"] = (question, mutation) =>
    this.#parts.shelf.transact(LOCK, mutation, () => this.#book.planRequest(question));

  readonly decide: ApprovalDesk["decide"] = (id, decision, mutation) =>
    this.#parts.shelf.transact(LOCK, mutation, () => this.#book.planDecide(id, decision));

  readonly withdraw: ApprovalDesk["withdraw"] = (id, by, mutation) =>
    this.#parts.shelf.transact(LOCK, mutation, () => this.#book.planWithdraw(id, by, this.#now));

  readonly begin: ApprovalDesk["begin"] = async (use, mutation) => {
    const { shelf } = this.#parts;
    if (use === undefined) {
      await shelf.transact([], mutation, () => ({ changes: [], result: undefined }));
      return;
    }
    await shelf.transact(LOCK, mutation, () => {
      const { changes } = this.#book.planUse(use.id, use);
      return { changes, result: undefined };
    });
  };

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#timer?.[Symbol.dispose]();
    this.#subscription[Symbol.dispose]();
  }

  get #now(): number {
    return this.#parts.clock.now();
  }

  #changed(): void {
    this.#schedule();
    for (const listener of this.#listeners) listener();
  }

  #schedule(pauseMs = 0): void {
    this.#timer?.[Symbol.dispose]();
    const [first] = this.#book.open;
    if (first === undefined || this.#isClosed) return;
    const waitMs = Math.max(pauseMs, first.expiresAt - this.#now);
    this.#timer = this.#parts.clock.setTimer(waitMs, () => void this.#expire());
  }

  /** Whoever looks sees them expired already; here it is written down. */
  async #expire(): Promise<void> {
    const { logger } = this.#parts;
    for (const listener of this.#listeners) listener();
    try {
      for (const approval of this.#book.open) {
        if (approval.expiresAt > this.#now) break;
        await this.#writeExpired(approval);
      }
      this.#schedule();
    } catch (failure) {
      logger.warn("approval-not-expired", { code: isGatehouseError(failure) ? failure.code : "unknown" });
      this.#schedule(RETRY_MS);
    }
  }

  /** An answer may have been on its way to the disk when the time came: then there is nothing to write. */
  async #writeExpired({ id, tool }: Approval): Promise<void> {
    const { shelf, audit } = this.#parts;
    const event = audit.encodeEvent({
      ...{ action: "approval:decide", resource: `tool:${tool}`, outcome: "failed" },
      ...{ code: "approval.expired", detail: { approval: id } },
    });
    try {
      await shelf.transact(LOCK, { audit: event }, () => this.#book.planExpire(id, this.#now));
    } catch (failure) {
      if (!isGatehouseError(failure, "approval.decided")) throw failure;
    }
  }
}
