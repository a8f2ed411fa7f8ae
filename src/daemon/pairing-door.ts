import {
  type Clock,
  GatehouseError,
  LIMITS,
  type Logger,
  type Random,
  sourceOf,
  type UnixMs,
} from "../core/index.ts";
import type { TcpPairingConnection } from "../grpc/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import {
  type ChannelBinding,
  type Enroll,
  findJoiner,
  formatPairingUri,
  type Joiner,
  type JoinerKeys,
  PAIRING_ALPN,
  type PairedDevice,
  type PairingAttempt,
  type PairingLimiter,
  type PairingMode,
  PairingResponder,
  type PairingStream,
  type PairingVerdict,
  PairingWindow,
  type PairingWindowEvent,
  servePairing,
} from "../pairing/index.ts";
import type { Admission, CloseCause } from "../quic/index.ts";
import type { PairingWindowWish } from "../services/index.ts";
import type { Doors } from "./doors.ts";
import { EventChannel } from "./event-channel.ts";
import type { TcpPairingAdmission } from "./side.ts";

/** Pairing connections at once, over both wires together; each costs a few kilobytes and a curve operation. */
const CONNECTIONS_MAX = 32;

export type PairingDoorEvent =
  | {
      readonly kind: "opened";
      readonly code: string | undefined;
      readonly uri: string;
      readonly expiresAt: UnixMs;
    }
  | { readonly kind: "asked"; readonly joiner: Joiner }
  | { readonly kind: "denied"; readonly deviceId: string }
  | { readonly kind: "paired"; readonly device: PairedDevice }
  | { readonly kind: "burnt" }
  | { readonly kind: "expired" };

export interface PairingDoorOptions {
  readonly identity: DeviceIdentity;
  readonly gatehouseName: string;
  /** DER of the server's certificate in force. */
  readonly certificate: () => Uint8Array;
  /** Not asked before a window is opened. */
  readonly doors: () => Pick<Doors, "openPairing" | "addresses">;
  readonly limiter: PairingLimiter;
  readonly enroll: Enroll;
  /** Id of the device that has this name now, if any. Default: nobody is looked for. */
  readonly findByName?: (name: string) => string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface OpenWindow {
  readonly window: PairingWindow;
  readonly events: EventChannel<PairingDoorEvent>;
}

/** As much as pairing needs of a connection, whatever its wire. */
export interface PairingConnection {
  readonly remote: { readonly host: string };
  /** DER, leaf first; its key's possession is proven. */
  readonly peerCertificates: readonly Uint8Array[];
  readonly closed: Promise<unknown>;
  onStream(take: (stream: PairingStream & { reset(code: number): void }) => void): void;
  close(cause: CloseCause, reason?: string): void;
}

/** A connection that came for pairing. */
interface Guest {
  readonly connection: PairingConnection;
  readonly binding: ChannelBinding;
  responder: PairingResponder | undefined;
}

/**
 * Opens the door for one new device at a time, and runs the exchange with whoever comes. A window that has paired is
 * put aside until its joiner has its grant for sure, so that the next one need not wait for it.
 */
export class PairingDoor implements Disposable {
  readonly #options: PairingDoorOptions;
  /** In order of their coming. */
  readonly #guests = new Set<Guest>();
  #open: OpenWindow | undefined;
  #aside: readonly OpenWindow[] = [];
  /** Strangers pass TLS while it lives: as long as any window has business with anybody. */
  #tls: Disposable | undefined;

  constructor(options: PairingDoorOptions) {
    this.#options = options;
  }

  /** Codes burnt within the last hour; `LIMITS.burntCodes` stands for so many or more. */
  get burntCodes(): number {
    return this.#options.limiter.burntCodes;
  }

  /**
   * Opens a window; the first event is `opened`, the last one says how it ended. Aborting `signal`, or leaving the
   * loop, closes it; who waits for an answer then hears that there will be none.
   * @throws pairing.window-open, pairing.paused
   */
  async *open(wish: PairingWindowWish, signal: AbortSignal): AsyncGenerator<PairingDoorEvent, void, void> {
    signal.throwIfAborted();
    const { window, events } = this.#openWindow(wish);
    const close = (): void => window.close();
    signal.addEventListener("abort", close, { once: true });
    try {
      yield { kind: "opened", code: window.code, uri: this.#uri(window), expiresAt: window.expiresAt };
      yield* events;
      signal.throwIfAborted();
    } finally {
      signal.removeEventListener("abort", close);
      window.close();
    }
  }

  /** Joiners that have proven their secret and wait for an answer. */
  waiting(): readonly Joiner[] {
    return this.#open?.window.waiting ?? [];
  }

  /** By id in any spelling, or an id's first 8 characters or more. @throws pairing.not-waiting */
  find(text: string): Joiner {
    return findJoiner(this.waiting(), text);
  }

  /** Answers for whoever waits; the first answer counts. A no closes the window. @throws pairing.not-waiting */
  decide(text: string, verdict: PairingVerdict): Joiner {
    const joiner = this.find(text);
    this.#open?.window.decide(joiner.deviceId, verdict);
    return joiner;
  }

  /** Judges a QUIC connection that asks for pairing. */
  admit(): Admission {
    if (this.#tls === undefined) return refused("no pairing window is open");
    return { kind: "admitted", accept: (connection) => this.#accept(connection, { kind: "none" }) };
  }

  /** The same for one over TCP, where the exchange is bound to the connection itself. */
  admitTcp(): TcpPairingAdmission {
    if (this.#tls === undefined) return refused("no pairing window is open");
    const accept = (connection: TcpPairingConnection): void =>
      this.#accept(connection, { kind: "tls-exporter", bytes: connection.tlsExporter });
    return { kind: "admitted", accept };
  }

  [Symbol.dispose](): void {
    for (const { window } of this.#windows) window[Symbol.dispose]();
    for (const { connection } of this.#guests) connection.close("going-away");
  }

  get #windows(): readonly OpenWindow[] {
    return this.#open === undefined ? this.#aside : [...this.#aside, this.#open];
  }

  #openWindow({
    role,
    ttlMs,
    code = "unless-paused",
    requireApproval = false,
  }: PairingWindowWish): OpenWindow {
    this.#putAside();
    const events = new EventChannel<PairingDoorEvent>();
    const { clock, random, limiter, findByName } = this.#options;
    const window = PairingWindow.open({
      ...{ clock, random, limiter, role, code, requireApproval },
      ...(ttlMs === undefined ? {} : { ttlMs }),
      ...(findByName === undefined ? {} : { findByName }),
      onEvent: (event) => this.#windowEvent(event, open),
    });
    const open = { window, events };
    this.#open = open;
    this.#tls ??= this.#options.doors().openPairing(PAIRING_ALPN);
    return open;
  }

  /** Makes way for a new window when all that the last one waits for is that its joiner has its grant. */
  #putAside(): void {
    if (this.#open === undefined) return;
    if (this.#open.window.state !== "paired") {
      throw new GatehouseError("pairing.window-open", "a pairing window is open already", {
        hint: "finish with it first, or wait until it expires",
      });
    }
    this.#aside = [...this.#aside, this.#open];
    this.#open = undefined;
    const [oldest] = this.#aside;
    if (this.#aside.length > LIMITS.pairingWindowsAside) oldest?.window[Symbol.dispose]();
  }

  #windowEvent(event: PairingWindowEvent, open: OpenWindow): void {
    if (event.kind === "retired") {
      this.#retire(open);
      return;
    }
    if (event.kind !== "closed") open.events.send(event);
    if (event.kind !== "asked" && event.kind !== "denied") open.events.close();
  }

  #retire(open: OpenWindow): void {
    if (this.#open === open) this.#open = undefined;
    this.#aside = this.#aside.filter((other) => other !== open);
    if (this.#windows.length > 0) return;
    this.#tls?.[Symbol.dispose]();
    this.#tls = undefined;
  }

  /** A joiner that comes back for its grant gets to its own window, everybody else to the open one. */
  #begin(mode: PairingMode, keys: JoinerKeys): PairingAttempt {
    const own = this.#aside.find(({ window }) => window.mayReturn(mode, keys));
    const window = (own ?? this.#open)?.window;
    if (window === undefined) throw new GatehouseError("pairing.closed", "no pairing window is open");
    return window.begin(mode, keys);
  }

  #uri({ uriSecret }: PairingWindow): string {
    const { identity, doors } = this.#options;
    const { quic, grpc = "" } = doors().addresses("network");
    return formatPairingUri({
      address: quic ?? grpc,
      gatehouseId: identity.id,
      secret: uriSecret,
    });
  }

  #accept(connection: PairingConnection, binding: ChannelBinding): void {
    const guest: Guest = { connection, binding, responder: undefined };
    this.#guests.add(guest);
    this.#makeRoom();
    // Strangers who say nothing, or stay when all is said, would keep their places from all who come later.
    const dismiss = (reason: string) =>
      this.#options.clock.setTimer(LIMITS.pairingProofMs, () => connection.close("limit", reason));
    let deadline = dismiss("no pairing was begun in time");
    void connection.closed.then(() => {
      deadline[Symbol.dispose]();
      this.#guests.delete(guest);
    });
    connection.onStream((stream) => {
      if (guest.responder !== undefined) return stream.reset(0);
      deadline[Symbol.dispose]();
      return void this.#serve(guest, stream).then(() => {
        deadline = dismiss("the pairing is over");
      });
    });
  }

  /**
   * When there are too many, the oldest goes that has proven nothing, of the source that has the most of them: whoever
   * fills the room pushes out its own.
   */
  #makeRoom(): void {
    if (this.#guests.size <= CONNECTIONS_MAX) return;
    const unproven = [...this.#guests].filter(({ responder }) => responder?.isProven !== true);
    const from = (source: string) =>
      unproven.filter((guest) => sourceOf(guest.connection.remote.host) === source);
    const crowds = unproven.map(({ connection }) => from(sourceOf(connection.remote.host)));
    const [victim] = crowds.reduce((most, crowd) => (crowd.length > most.length ? crowd : most), []);
    if (victim === undefined) return;
    this.#guests.delete(victim);
    victim.connection.close("limit", "too many devices try to pair at once");
  }

  async #serve(guest: Guest, stream: PairingStream): Promise<void> {
    const { identity, gatehouseName, enroll, random, logger, clock } = this.#options;
    const { connection, binding } = guest;
    const [peerCertificate = new Uint8Array(0)] = connection.peerCertificates;
    const { host } = connection.remote;
    guest.responder = new PairingResponder({
      ...{ identity, gatehouseName, peerCertificate, binding, enroll, random, logger, remoteAddress: host },
      window: { begin: (mode, keys) => this.#begin(mode, keys) },
      certificate: this.#options.certificate(),
    });
    const failure = await servePairing(stream, guest.responder, clock);
    if (failure !== undefined) logger.info("pairing-failed", { code: failure.code, from: host });
  }
}

function refused(message: string): Extract<Admission, { readonly kind: "refused" }> {
  return { kind: "refused", cause: "pairing.closed", error: new GatehouseError("pairing.closed", message) };
}
