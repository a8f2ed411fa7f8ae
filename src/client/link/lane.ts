import { type Clock, type GatehouseError, LIMITS } from "../../core/index.ts";
import type { CallStream, PendingCall } from "../../rpc/index.ts";
import type { Resumption } from "./tickets.ts";
import { Vigil } from "./vigil.ts";
import type { Wire } from "./wire.ts";

/** What calls need of a connection. */
export interface Carriage {
  /** The peer is let in, and nothing has ended the connection. */
  readonly isOpen: boolean;
  /** What is sent now travels in early data; until `opened` settles. */
  readonly isEarly: boolean;
  readonly opened: Promise<{ readonly isResumed: boolean }>;
  readonly closed: Promise<GatehouseError>;
  /** Milliseconds. */
  readonly rttMs: number | undefined;
  readonly streamCount: number;
  /** Packets so far. */
  readonly traffic: { readonly sent: number; readonly received: number };
  openStream(): CallStream;
}

/** A connection that can be used, be it for early data only. */
export interface Dialled extends AsyncDisposable {
  readonly wire: Wire;
  /** Why it is on that wire, for people. */
  readonly reason: string;
  readonly connection: Carriage;
  /** Not before the connection has opened. */
  readonly handshakeMs: number;
  /** To another local address; by itself when the network changes. */
  migrate(): Promise<void>;
}

/** Why the gatehouse wants a connection replaced: it is worn out, or the gatehouse leaves. */
export type MoveOn = "recycle" | "going-away";

export interface DialOptions {
  readonly resumption: Resumption;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** `dialled` should be replaced. */
  readonly onMoveOn: (reason: MoveOn, dialled: Dialled) => void;
  /** Another connection than the one that was dialled stands, and should be used in its place. Taken. */
  readonly onBetter: (dialled: Dialled) => void;
}

/** Makes connections to one gatehouse. */
export interface Dialer {
  /** What is known from before; a ticket is given for one use. */
  resumption(wanted: "ticket" | "no-ticket"): Promise<Resumption>;
  /** Resolves when the connection can be used. @throws GatehouseError */
  dial(options: DialOptions): Promise<Dialled>;
  /**
   * The gatehouse, once it was checked, has ended a connection with `failure`. Answers whether something will be done
   * about that before the next connection, which calls may then wait for.
   */
  mends(failure: GatehouseError): boolean;
  /** Whether there is another way than the one whose handshake has failed so. */
  hasOtherWay(failure: unknown): boolean;
}

/** How the connection came to be. */
export interface HandshakeFacts {
  /** A ticket took the place of certificates. */
  readonly isResumed: boolean;
  /** What became of calls sent before the handshake was over; none: there were no such calls. */
  readonly earlyData: "none" | "accepted" | "rejected";
}

export interface LaneOptions {
  readonly dialled: Dialled;
  readonly hadTicket: boolean;
  readonly clock: Clock;
  /** Calls are under way and nothing is heard. */
  readonly silent: (lane: Lane) => void;
}

/** One connection of a link, from the moment it can be used. */
export class Lane {
  readonly dialled: Dialled;
  readonly connection: Carriage;
  /** Resolves when the gatehouse is checked, rejects when that has failed. */
  readonly ready: Promise<void>;
  readonly hadTicket: boolean;
  readonly vigil: Vigil;
  /** Calls sent in early data of which it is not known yet what became. */
  readonly early = new Set<PendingCall>();
  /** The gatehouse, or this side, has asked for another one. */
  isWornOut = false;
  /** The handshake is over. */
  isReady = false;
  #isResumed = false;
  #earlyData: HandshakeFacts["earlyData"] = "none";

  constructor({ dialled, hadTicket, clock, silent }: LaneOptions) {
    this.dialled = dialled;
    this.connection = dialled.connection;
    this.hadTicket = hadTicket;
    this.vigil = new Vigil(clock, this.connection, () => silent(this));
    this.isReady = this.connection.isOpen && !this.connection.isEarly;
    this.ready = this.connection.opened.then(({ isResumed }) => {
      this.isReady = true;
      this.#isResumed = isResumed;
      if (this.#earlyData === "accepted" && !isResumed) this.#earlyData = "rejected";
    });
    this.ready.catch(() => undefined);
  }

  get handshake(): HandshakeFacts {
    return { isResumed: this.#isResumed, earlyData: this.#earlyData };
  }

  open(call: PendingCall): CallStream {
    call.carrier = this;
    if (!this.vigil.isKept) this.vigil.keep();
    return this.connection.openStream();
  }

  /** Once for each call: what was refused as too early would be again. */
  mayTakeEarly({ attempts }: PendingCall): boolean {
    return this.connection.isEarly && attempts === 1 && this.early.size < LIMITS.callsPerConnection;
  }

  openEarly(call: PendingCall): CallStream {
    call.carrier = this;
    this.early.add(call);
    this.#earlyData = "accepted";
    return this.connection.openStream();
  }

  /** Early calls have to be sent again: the gatehouse did not take them, or they are lost. */
  earlyRefused(): void {
    this.#earlyData = "rejected";
  }
}
