import { type Clock, GatehouseError, LIMITS, type Logger, type Random, type UnixMs } from "../core/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import {
  type Enroll,
  formatPairingUri,
  PAIRING_ALPN,
  type PairedDevice,
  type PairingLimiter,
  PairingResponder,
  PairingWindow,
  type PairingWindowEvent,
  servePairing,
} from "../pairing/index.ts";
import {
  type Admission,
  dialable,
  formatAddress,
  type QuicConnection,
  type QuicServer,
  type QuicStream,
} from "../quic/index.ts";
import type { PairingWindowWish } from "../services/index.ts";
import { EventChannel } from "./event-channel.ts";

/** Pairing connections at once; each costs a few kilobytes and a curve operation. */
const CONNECTIONS_MAX = 32;

export type PairingDoorEvent =
  | {
      readonly kind: "opened";
      readonly code: string | undefined;
      readonly uri: string;
      readonly expiresAt: UnixMs;
    }
  | { readonly kind: "paired"; readonly device: PairedDevice }
  | { readonly kind: "burnt" }
  | { readonly kind: "expired" };

export interface PairingDoorOptions {
  readonly identity: DeviceIdentity;
  readonly gatehouseName: string;
  /** DER of the server's certificate in force. */
  readonly certificate: () => Uint8Array;
  readonly server: () => QuicServer;
  readonly limiter: PairingLimiter;
  readonly enroll: Enroll;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

interface OpenWindow {
  readonly window: PairingWindow;
  /** Strangers pass TLS while it lives. */
  readonly tls: Disposable;
  readonly events: EventChannel<PairingDoorEvent>;
}

/** Opens the door for one new device at a time, and runs the exchange with whoever comes. */
export class PairingDoor implements Disposable {
  readonly #options: PairingDoorOptions;
  readonly #connections = new Set<QuicConnection>();
  #open: OpenWindow | undefined;

  constructor(options: PairingDoorOptions) {
    this.#options = options;
  }

  /**
   * Opens a window; the first event is `opened`, the last one says how it ended. Aborting `signal`, or leaving the
   * loop, closes it.
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

  /** Judges a connection that asks for pairing. */
  admit(): Admission {
    const open = this.#open;
    if (open?.window.isAccepting !== true) return refused("no pairing window is open");
    if (this.#connections.size >= CONNECTIONS_MAX) return refused("too many devices try to pair at once");
    return { kind: "admitted", accept: (connection) => this.#accept(connection, open.window) };
  }

  [Symbol.dispose](): void {
    this.#open?.window[Symbol.dispose]();
    for (const connection of this.#connections) connection.close("going-away");
  }

  #openWindow({ role, ttlMs, code = "unless-paused" }: PairingWindowWish): OpenWindow {
    if (this.#open !== undefined) {
      throw new GatehouseError("pairing.window-open", "a pairing window is open already", {
        hint: "finish with it first, or wait until it expires",
      });
    }
    const events = new EventChannel<PairingDoorEvent>();
    const { clock, random, limiter } = this.#options;
    const window = PairingWindow.open({
      ...{ clock, random, limiter, role, code },
      ...(ttlMs === undefined ? {} : { ttlMs }),
      onEvent: (event) => this.#windowEvent(event, events),
    });
    this.#open = { window, events, tls: this.#options.server().openPairing(PAIRING_ALPN) };
    return this.#open;
  }

  #windowEvent(event: PairingWindowEvent, events: EventChannel<PairingDoorEvent>): void {
    if (event.kind === "retired") {
      this.#open?.tls[Symbol.dispose]();
      this.#open = undefined;
      return;
    }
    if (event.kind !== "closed") events.send(event);
    events.close();
  }

  #uri({ uriSecret }: PairingWindow): string {
    const { identity, server } = this.#options;
    return formatPairingUri({
      address: formatAddress(dialable(server().addresses, "network")),
      gatehouseId: identity.id,
      secret: uriSecret,
    });
  }

  #accept(connection: QuicConnection, window: PairingWindow): void {
    this.#connections.add(connection);
    // Strangers who say nothing, or stay when all is said, would keep their places from all who come later.
    const dismiss = (reason: string) =>
      this.#options.clock.setTimer(LIMITS.pairingProofMs, () => connection.close("limit", reason));
    let deadline = dismiss("no pairing was begun in time");
    void connection.closed.then(() => {
      deadline[Symbol.dispose]();
      this.#connections.delete(connection);
    });
    let isTaken = false;
    connection.onStream((stream) => {
      if (isTaken) return stream.reset(0);
      isTaken = true;
      deadline[Symbol.dispose]();
      return void this.#serve(connection, stream, window).then(() => {
        deadline = dismiss("the pairing is over");
      });
    });
  }

  async #serve(connection: QuicConnection, stream: QuicStream, window: PairingWindow): Promise<void> {
    const { identity, gatehouseName, enroll, random, logger, clock } = this.#options;
    const [peerCertificate = new Uint8Array(0)] = connection.peerCertificates;
    const responder = new PairingResponder({
      ...{ window, identity, gatehouseName, peerCertificate, enroll, random, logger },
      certificate: this.#options.certificate(),
    });
    const failure = await servePairing(stream, responder, clock);
    if (failure !== undefined)
      logger.info("pairing-failed", { code: failure.code, from: connection.remote.host });
  }
}

function refused(message: string): Admission {
  return { kind: "refused", cause: "pairing.closed", error: new GatehouseError("pairing.closed", message) };
}
