import {
  type Clock,
  equalBytes,
  LIMITS,
  type Logger,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
} from "../core/index.ts";
import { LABELS } from "../crypto/index.ts";
import { homeLayout } from "../files/index.ts";
import type { DeviceId, DeviceIdentity, TlsIdentity } from "../identity/index.ts";
import { Caller } from "../rpc/index.ts";
import { Client } from "./client.ts";
import { openHomeIdentity } from "./home-identity.ts";
import { type Destination, GatehouseDialer } from "./link/dialer.ts";
import { Link, type ResumptionMode } from "./link/link.ts";
import { Tickets } from "./link/tickets.ts";
import { Trust } from "./link/trust.ts";
import type { Wire, WireChange } from "./link/wire.ts";
import { WireMemory } from "./link/wire-memory.ts";
import { localGatehouse } from "./local-gatehouse.ts";
import { Outbox } from "./offline/outbox.ts";
import { OutboxFolder } from "./offline/outbox-folder.ts";
import { LinkWire } from "./offline/outbox-wire.ts";
import { SecretCache } from "./offline/secret-cache.ts";
import { pause } from "./pause.ts";
import { type Remote, Remotes } from "./remotes.ts";
import { hasRunOut, renewalTime, renewCertificate, useCertificate } from "./renewal/renewal.ts";
import type { RenewalOptions, RenewalParts } from "./renewal/renewal-wish.ts";
import { Renewals } from "./renewal/renewals.ts";
import { dropSpareKeys } from "./renewal/spare-keys.ts";
import { tlsKeyFor } from "./tls-key.ts";

export interface DeviceConnectOptions {
  /** A gatehouse's name or id. Left out: this home's own gatehouse, else the default or only one it is paired with. */
  readonly on?: string | undefined;
  /** For the handshake; at most, and by default, `LIMITS.handshakeMs`. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** How long the gatehouse waits for a sign of life before it drops what this client left. Default `LIMITS.idleMs`. */
  readonly idleMs?: number | undefined;
  /**
   * What a ticket of an earlier connection may save: the first calls' wait for the handshake (`early`, the default), the
   * certificates alone, or nothing.
   */
  readonly resumption?: ResumptionMode | undefined;
  /** The one wire that may be used. Default: QUIC where it gets through, else gRPC over TCP. */
  readonly wire?: Wire | undefined;
  /** Told of the wire that calls go over first, and of each change. */
  readonly onWire?: ((change: WireChange) => void) | undefined;
  /**
   * `now`, the default: fails when the gatehouse cannot be reached. `when-needed`: with the first call; for devices that
   * may be off the net, and want their outbox and what they cached all the same.
   */
  readonly dial?: "now" | "when-needed" | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

interface Effects {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** How this device renews its certificate at one gatehouse. */
interface Renewer {
  readonly parts: RenewalParts;
  /** What is stored of it now. */
  readonly current: () => Promise<Remote>;
  readonly renew: (options: RenewalOptions) => Promise<Remote>;
  /** Renews unless another certificate than `refused` is stored by now. */
  readonly replace: (refused: Uint8Array) => Promise<Remote>;
}

/** This install as a client: its identity is read once, its TLS contexts and tickets are kept. */
export class Device {
  readonly id: DeviceId;
  readonly #home: string;
  #identity: DeviceIdentity;
  readonly #trust = new Map<DeviceId, Trust>();
  #tickets: Tickets | undefined;
  #wires: WireMemory | undefined;

  private constructor(home: string, identity: DeviceIdentity) {
    this.id = identity.id;
    this.#home = home;
    this.#identity = identity;
  }

  /** @throws remote.none when nothing was ever paired or made here, home.bad-permissions, identity.damaged */
  static async open(home: string): Promise<Device> {
    return new Device(home, await openHomeIdentity(homeLayout(home)));
  }

  /**
   * Connects to a gatehouse by what pairing pinned: its authority, its name and its id. The gatehouse judges this device's
   * certificate after that: a refusal is what the first call fails with. With a ticket of an earlier connection nothing is
   * waited for: then whatever keeps the gatehouse from being reached is what the first call fails with, too.
   *
   * A certificate that has run out is renewed first, where the gatehouse lets it; one that is past half of its life is
   * renewed beside the calls.
   *
   * @throws remote.none, remote.not-found, remote.ambiguous, quic.unreachable, quic.timed-out, quic.wrong-server,
   * certificate.expired, file.damaged
   */
  async connect(options: DeviceConnectOptions = {}): Promise<Client> {
    const { clock = systemClock, random = systemRandom, logger = silentLogger, signal } = options;
    const { idleMs = LIMITS.idleMs } = options;
    const known = await this.#resolve(options.on);
    const timeoutMs = Math.min(options.timeoutMs ?? LIMITS.handshakeMs, LIMITS.handshakeMs);
    const renewer = this.#renewerOf(known, { clock, random, logger });
    const { dial = "now" } = options;
    // When needed: the gatehouse says that it has run out, and it is renewed then.
    const isLate = dial === "now" && renewer !== undefined && hasRunOut(known, clock);
    const fresh = isLate ? await renewer.renew({ signal, timeoutMs }) : known;
    const first = await this.#destinationOf(fresh, idleMs);
    const { remote } = first;
    const tickets = this.#ticketsWith({ clock, random, logger });
    const wires = this.#wiresWith(clock);
    const again = () => this.#lookAgain(remote, idleMs);
    const dialer = new GatehouseDialer({
      ...{ first, again, tickets, clock, random, logger, wire: options.wire },
      udp: wires.of(remote.gatehouseId),
      renew: renewer?.replace,
      ...(remote.gatehouseId === this.id
        ? { isOwnKey: (key: Uint8Array) => this.#identity.tlsFor(key) !== undefined }
        : {}),
    });
    const { resumption = "early", onWire } = options;
    const linked = { dialer, clock, random, resumption, onWire };
    const link = dial === "now" ? await Link.open(linked, { timeoutMs, signal }) : Link.whenNeeded(linked);
    const caller = new Caller({ clock, random });
    const outbox = this.#outboxOf(remote, { link, caller, clock, random, logger });
    const secretCache = this.#secretCacheOf(remote, { clock, random, logger });
    const settle = (): Promise<void> => settledSoon([tickets, wires], clock);
    const parts = { remote, link, caller, outbox, secretCache, settle, clock };
    if (renewer === undefined) return new Client({ ...parts, keeper: undefined });
    const { renew, current } = renewer;
    const renewals = new Renewals({
      ...{ remote, clock, random, logger },
      renew: async (gone) => {
        const stored = await current();
        return clock.now() < renewalTime(stored.certificate) ? stored : await renew({ signal: gone });
      },
    });
    const heardClock = (lastSkewMs: number) => this.#rememberSkew(remote, lastSkewMs);
    return new Client({ ...parts, keeper: { renew, renewals, heardClock } });
  }

  /** Undefined for its own gatehouse, whose daemon does that by itself. */
  #renewerOf({ gatehouseId }: Remote, effects: Effects): Renewer | undefined {
    if (gatehouseId === this.id) return undefined;
    const remotes = Remotes.of(this.#home);
    const parts: RenewalParts = {
      ...{ ...effects, remotes, identity: this.#identity },
      keyFor: (certificate) => this.#keyFor(certificate),
      addKey: () => this.#identity.addTlsKey(homeLayout(this.#home).identityDir),
    };
    const current = (): Promise<Remote> => remotes.resolve(gatehouseId);
    const renew = async (options: RenewalOptions): Promise<Remote> => {
      const before = await current();
      const renewed = await renewCertificate(parts, before, options);
      await this.#settleKeys(parts, { before, renewed, options });
      return renewed;
    };
    const replace = async (refused: Uint8Array): Promise<Remote> => {
      const stored = await current();
      return equalBytes(stored.certificate, refused) ? await renew({}) : stored;
    };
    return { parts, current, renew, replace };
  }

  /**
   * Drops keys that have been replaced, once the gatehouse has seen the one in use: it has, if that is the one that asked.
   * A renewal that did its work does not fail for what is left over.
   */
  async #settleKeys(
    parts: RenewalParts,
    {
      before,
      renewed,
      options,
    }: { readonly before: Remote; readonly renewed: Remote; readonly options: RenewalOptions },
  ): Promise<void> {
    try {
      const [old, current] = await Promise.all([
        this.#keyFor(before.certificate),
        this.#keyFor(renewed.certificate),
      ]);
      if (!equalBytes(old.spkiSha256, current.spkiSha256)) {
        await useCertificate(parts, renewed, { signal: options.signal, timeoutMs: options.timeoutMs });
      }
      await dropSpareKeys(homeLayout(this.#home), this.#identity, await parts.remotes.list());
    } catch (failure) {
      parts.logger.info("old-tls-key-kept", {
        error: failure instanceof Error ? failure.message : "unknown",
      });
    }
  }

  #keyFor(certificate: Uint8Array): Promise<TlsIdentity> {
    return tlsKeyFor(this.#identity, certificate, async () => {
      const reopened = await openHomeIdentity(homeLayout(this.#home));
      if (reopened.id === this.id) this.#identity = reopened;
      return this.#identity;
    });
  }

  /** For the words of later failures: nobody waits for it, and nobody is told when it cannot be kept. */
  async #rememberSkew({ gatehouseId }: Remote, lastSkewMs: number): Promise<void> {
    await Remotes.of(this.#home)
      .change(gatehouseId, (current) => ({ ...current, lastSkewMs }))
      .catch(() => undefined);
  }

  /** One for all connections: the first one's effects are as good as any other's. */
  #ticketsWith(effects: Effects): Tickets {
    this.#tickets ??= new Tickets({
      ...{ dir: homeLayout(this.#home).ticketsDir, key: this.#identity.deriveKey(LABELS.ticketKey) },
      ...effects,
    });
    return this.#tickets;
  }

  #outboxOf(
    { gatehouseId }: Remote,
    { link, caller, ...effects }: Effects & { readonly link: Link; readonly caller: Caller },
  ): Outbox {
    const key = this.#identity.deriveKey(LABELS.outboxKey);
    const folder = new OutboxFolder({ dir: homeLayout(this.#home).outboxDir, gatehouseId, key, ...effects });
    return new Outbox({ folder, wire: new LinkWire(link, caller), ...effects });
  }

  #secretCacheOf({ gatehouseId }: Remote, effects: Effects): SecretCache {
    const key = this.#identity.deriveKey(LABELS.cachedSecretKey);
    const nameKey = this.#identity.deriveKey(LABELS.cachedSecretName);
    const dir = homeLayout(this.#home).secretCacheDir;
    return new SecretCache({ dir, gatehouseId, key, nameKey, ...effects });
  }

  async #resolve(on: string | undefined): Promise<Remote> {
    const local = on === undefined ? await localGatehouse(homeLayout(this.#home), this.#identity) : undefined;
    return local ?? (await Remotes.of(this.#home).resolve(on));
  }

  /** The same gatehouse: its address, or this device's certificate there, may be another one by now. */
  async #lookAgain({ gatehouseId }: Remote, idleMs: number): Promise<Destination> {
    const isOwn = gatehouseId === this.id;
    // Its daemon may have another key by now, which lies in this home, too.
    if (isOwn) this.#identity = await openHomeIdentity(homeLayout(this.#home));
    const local = isOwn ? await localGatehouse(homeLayout(this.#home), this.#identity) : undefined;
    const remote = local ?? (await Remotes.of(this.#home).resolve(gatehouseId));
    return await this.#destinationOf(remote, idleMs);
  }

  /** With the authorities that were read before: what is known of them is known of these very bytes. */
  async #destinationOf(remote: Remote, idleMs: number): Promise<Destination> {
    const trust = await this.#trustOf(remote, idleMs);
    return { remote: { ...remote, caCertificates: trust.caCertificates }, trust };
  }

  async #trustOf(remote: Remote, idleMs: number): Promise<Trust> {
    const { gatehouseId, certificate } = remote;
    const kept = this.#trust.get(gatehouseId);
    if (kept?.fits(remote, idleMs) === true) return kept;
    const trust = new Trust(remote, await this.#keyFor(certificate), idleMs);
    this.#trust.set(gatehouseId, trust);
    return trust;
  }

  #wiresWith(clock: Clock): WireMemory {
    const key = this.#identity.deriveKey(LABELS.wireMemoryKey);
    this.#wires ??= new WireMemory({ file: homeLayout(this.#home).wiresFile, key, clock });
    return this.#wires;
  }
}

/** A disk that hangs is no reason to keep a command from ending. */
async function settledSoon(kept: readonly { settled(): Promise<void> }[], clock: Clock): Promise<void> {
  const settled = new AbortController();
  await Promise.race([
    Promise.all(kept.map((each) => each.settled())).then(() => settled.abort()),
    pause(clock, LIMITS.ticketSettleMs, settled.signal),
  ]);
}
