/**
 * Session tickets: what lets this device come back to a gatehouse in one round trip (RFC 8446 §2.2), and send early data.
 *
 * A ticket is a secret, as good as this device's key for as long as it lasts: whoever has it comes in as this device, and
 * can play the gatehouse to it. It lies where the identity does, 0600 in a home that is 0700, sealed under a key of it. Each is used once, so that
 * onlookers cannot tell two connections to be of one device (RFC 8446 §C.4).
 *
 * `tickets/<gatehouse id>/<time, 12 hex digits>-<16 random hex digits>` holds one each: of several processes that use
 * a home, one alone succeeds in removing a file, and that one uses it.
 */
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import {
  type Clock,
  equalBytes,
  GatehouseError,
  hex,
  isGatehouseError,
  LIMITS,
  type Logger,
  type Random,
  type UnixMs,
  unixMs,
} from "../../core/index.ts";
import {
  checkPrivate,
  ensurePrivateDir,
  listNames,
  removeExpendable,
  removeLeftovers,
  takeExpendable,
  writeExpendable,
} from "../../files/index.ts";
import type { DeviceId } from "../../identity/index.ts";
import {
  bindingOf,
  decodeTicket,
  encodeTicket,
  type StoredTicket,
  TICKET_OVERHEAD_BYTES,
  type TicketScope,
} from "./ticket-format.ts";

/** A file of a process that was killed while it wrote. */
const LEFTOVER_MS = 3_600_000;
/** A clock may have been set by so much since a ticket was saved "later than now". */
const CLOCK_STEP_MS = 300_000;
const FILE_BYTES_MAX = LIMITS.ticketBytes + TICKET_OVERHEAD_BYTES;

export interface TicketsOptions {
  /** `HomeLayout.ticketsDir`; made when it is needed. */
  readonly dir: string;
  /** From the identity: what lies there is sealed under it. */
  readonly key: KeyObject;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What is known from earlier connections. */
export interface Resumption {
  /** A ticket that nobody used before; now it is used. */
  readonly session: Uint8Array | undefined;
  /** The round-trip time when a ticket last came from there. */
  readonly rttMs: number | undefined;
}

/** Drops every ticket of a gatehouse that this home is done with. @throws file.io */
export async function forgetTickets(dir: string, gatehouseId: DeviceId): Promise<void> {
  const own = join(dir, gatehouseId);
  for (const name of await listNames(own)) await removeExpendable(join(own, name));
}

interface KeptTicket extends StoredTicket {
  readonly path: string;
  /** Whether the file is there, once it is known. */
  readonly isWritten: Promise<boolean>;
}

/**
 * The tickets of one home. Nothing here ever fails a connection: what cannot be read or written is as if it were not
 * there.
 */
export class Tickets {
  readonly #options: TicketsOptions;
  /** The newest last. */
  readonly #kept = new Map<DeviceId, KeptTicket[]>();
  readonly #rttMs = new Map<DeviceId, number>();
  readonly #writing = new Set<Promise<boolean>>();

  constructor(options: TicketsOptions) {
    this.#options = options;
  }

  /** The newest ticket that fits `scope`, for one use; what does not fit any more is dropped. */
  async take(scope: TicketScope): Promise<Resumption> {
    const { gatehouseId } = scope;
    const binding = bindingOf(scope);
    const session =
      (await this.#takeKept(gatehouseId, binding)) ?? (await this.#takeStored(gatehouseId, binding));
    return { session, rttMs: this.#rttMs.get(gatehouseId) };
  }

  /** As far as this process has heard; milliseconds. */
  rttMs(gatehouseId: DeviceId): number | undefined {
    return this.#rttMs.get(gatehouseId);
  }

  /** Keeps a ticket that has just come, at once for this process and soon for others. Takes `session`. */
  save(scope: TicketScope, { session, rttMs }: { session: Uint8Array; rttMs: number | undefined }): void {
    const { gatehouseId } = scope;
    if (session.length === 0 || session.length > LIMITS.ticketBytes) return;
    if (rttMs !== undefined) this.#rttMs.set(gatehouseId, rttMs);
    const savedAt = this.#options.clock.now();
    const ticket: StoredTicket = { binding: bindingOf(scope), savedAt, rttMs, session };
    const path = join(this.#dirOf(gatehouseId), this.#nameFor(savedAt));
    const isWritten = this.#write(gatehouseId, path, ticket);
    this.#writing.add(isWritten);
    void isWritten.then(() => this.#writing.delete(isWritten));
    const kept = [...(this.#kept.get(gatehouseId) ?? []), { ...ticket, path, isWritten }];
    this.#kept.set(gatehouseId, kept.slice(-LIMITS.ticketsPerGatehouse));
  }

  /** Resolves when what was saved so far lies in the home, or could not be written. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing);
  }

  async #takeKept(gatehouseId: DeviceId, binding: Uint8Array): Promise<Uint8Array | undefined> {
    const kept = this.#kept.get(gatehouseId) ?? [];
    for (let ticket = kept.pop(); ticket !== undefined; ticket = kept.pop()) {
      const { path, isWritten } = ticket;
      const isOurs =
        !(await isWritten) || (await this.#quietly("claim", () => removeExpendable(path))) !== false;
      if (isOurs && this.#isUsable(ticket, binding)) return ticket.session;
    }
    return undefined;
  }

  async #takeStored(gatehouseId: DeviceId, binding: Uint8Array): Promise<Uint8Array | undefined> {
    const dir = this.#dirOf(gatehouseId);
    const names = (await this.#quietly("list", () => this.#privateNames(dir))) ?? [];
    for (const name of names.toReversed().slice(0, 2 * LIMITS.ticketsPerGatehouse)) {
      const bytes = await this.#quietly("read", () => takeExpendable(join(dir, name), FILE_BYTES_MAX));
      const ticket = bytes === undefined ? undefined : decodeTicket(bytes, this.#options.key);
      if (ticket?.rttMs !== undefined && !this.#rttMs.has(gatehouseId))
        this.#rttMs.set(gatehouseId, ticket.rttMs);
      if (ticket !== undefined && this.#isUsable(ticket, binding)) return ticket.session;
    }
    return undefined;
  }

  #isUsable({ binding: own, savedAt }: StoredTicket, binding: Uint8Array): boolean {
    const ageMs = this.#options.clock.now() - savedAt;
    return equalBytes(own, binding) && ageMs < LIMITS.ticketMs && ageMs > -CLOCK_STEP_MS;
  }

  /** Whoever can write here can play the gatehouse. @throws home.bad-permissions */
  async #privateNames(dir: string): Promise<readonly string[]> {
    const names = await listNames(dir);
    if (names.length === 0) return names;
    await checkPrivate(this.#options.dir);
    await checkPrivate(dir);
    return names;
  }

  async #write(gatehouseId: DeviceId, path: string, ticket: StoredTicket): Promise<boolean> {
    const written = await this.#quietly("write", async () => {
      const dir = this.#dirOf(gatehouseId);
      await this.#writeInto(dir, path, encodeTicket(ticket, this.#options));
      await removeLeftovers(dir, unixMs(Math.max(0, ticket.savedAt - LEFTOVER_MS)));
      const names = await listNames(dir);
      for (const name of names.slice(0, -LIMITS.ticketsPerGatehouse)) await removeExpendable(join(dir, name));
      return true;
    });
    return written ?? false;
  }

  async #writeInto(dir: string, path: string, bytes: Uint8Array): Promise<void> {
    try {
      await writeExpendable(path, bytes);
    } catch (failure) {
      if (!isGatehouseError(failure, "file.not-found")) throw failure;
      await ensurePrivateDir(dir);
      await writeExpendable(path, bytes);
    }
  }

  #dirOf(gatehouseId: DeviceId): string {
    return join(this.#options.dir, gatehouseId);
  }

  /** In the order of their time. */
  #nameFor(savedAt: UnixMs): string {
    return `${savedAt.toString(16).padStart(12, "0")}-${hex(this.#options.random.bytes(8))}`;
  }

  async #quietly<Result>(step: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (failure) {
      const code = failure instanceof GatehouseError ? failure.code : "unknown";
      this.#options.logger.debug("tickets-unavailable", { step, code });
      return undefined;
    }
  }
}
