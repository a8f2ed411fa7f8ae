import type { DeviceLimits } from "../config/index.ts";
import {
  type Clock,
  GatehouseError,
  invariant,
  isGatehouseError,
  LIMITS,
  unmovedCopyOf,
} from "../core/index.ts";
import type { HomeLayout } from "../files/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import {
  type KeyProvider,
  keyFileProvider,
  passphraseProvider,
  recoveryProvider,
} from "../keystore/index.ts";
import type { SocketAddress } from "../quic/index.ts";
import type { Peer, UnsealKey } from "../services/index.ts";
import type { ToolDefinition } from "../tools/index.ts";
import { vaultKeyKinds } from "../vault/index.ts";
import { type BootRecord, readBootRecord } from "./boot-record.ts";
import type { DoorConnection } from "./door-connection.ts";
import { type DoorRecord, readDoorRecord } from "./door-record.ts";
import { Doors } from "./doors.ts";
import { forgetPlaintext } from "./forget.ts";
import { OpenSide } from "./open-side.ts";
import { SealedSide } from "./sealed-side.ts";
import { between, type Side } from "./side.ts";
import type { Effects } from "./storage.ts";
import { UnsealAttempts } from "./unseal-attempts.ts";
import type { Spotlight } from "./watchdog-memory.ts";

export interface FrontDoorParts extends Effects {
  readonly layout: HomeLayout;
  readonly keyDir: string;
  readonly kek?: KeyProvider | undefined;
  readonly identity: DeviceIdentity;
  readonly boot: BootRecord;
  readonly listen: readonly SocketAddress[];
  readonly grpc?: readonly SocketAddress[] | "off" | undefined;
  readonly version: string;
  readonly tools: ReadonlyMap<string, ToolDefinition>;
  readonly limits: DeviceLimits;
  readonly leafLifetimeMs?: number | undefined;
  readonly roundsPauseMs?: number | undefined;
}

/**
 * The sockets, and what stands behind them: everything, or, while the vault is sealed, as little as can be told without its
 * key. The sockets stay when one takes the place of the other; connections do not.
 */
export class FrontDoor implements AsyncDisposable {
  /** Is told whose connection is being handled. */
  spotlight: Spotlight<DoorConnection> | undefined;
  readonly #parts: FrontDoorParts;
  readonly #attempts: UnsealAttempts;
  #side: OpenSide | SealedSide | undefined;
  #admitting: Side | undefined;
  #doors: Doors | undefined;
  /** Seals and unseals follow one another. */
  #turn: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(parts: FrontDoorParts) {
    this.#parts = parts;
    this.#attempts = new UnsealAttempts(parts.clock);
  }

  /**
   * @throws what opening the vault throws, unless `sealed`; then vault.key-missing when the door was never open, or what it
   * showed has run out; boot.damaged; quic.address-in-use, quic.bad-address, quic.unsupported-platform
   */
  static async open(parts: FrontDoorParts, start: "open" | "sealed"): Promise<FrontDoor> {
    const door = new FrontDoor(parts);
    try {
      await door.#begin(start);
    } catch (failure) {
      await door.#side?.[Symbol.asyncDispose]();
      throw failure;
    }
    return door;
  }

  /** Undefined while the vault is sealed. */
  get openSide(): OpenSide | undefined {
    return this.#side instanceof OpenSide ? this.#side : undefined;
  }

  get doors(): Doors {
    invariant(this.#doors !== undefined, "the door is open before anybody comes in");
    return this.#doors;
  }

  /** Takes no new calls, lets those in flight end (5 s), then closes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    const draining = this.#drain();
    await this.#turn.catch(() => undefined);
    // The last answers get some time to leave: a connection's end would overtake them.
    if (await draining) await pause(LIMITS.sealLingerMs, this.#parts.clock);
    await this.doors[Symbol.asyncDispose]();
    await this.#side?.[Symbol.asyncDispose]();
  }

  async #drain(): Promise<boolean> {
    this.openSide?.pairing[Symbol.dispose]();
    this.doors.announceShutdown();
    return (await this.openSide?.drain()) ?? false;
  }

  async #begin(start: "open" | "sealed"): Promise<void> {
    const { identity, layout, listen, grpc, clock, random, logger } = this.#parts;
    if (start === "open") this.#admitting = this.#side = await this.#openSide(this.#parts.kek);
    else {
      const record = await readDoorRecord(layout.doorFile, identity);
      if (record === undefined) throw neverOpen();
      this.#admitting = this.#side = await this.#sealedSide(record, "it was started without its key");
    }
    const { serverTls } = this.#side;
    this.#doors = await Doors.open({
      ...{ listen, grpc, serverTls, clock, random, logger },
      side: () => this.#current,
      onHandling: (connection) => this.spotlight?.show(connection),
    });
  }

  get #current(): Side {
    invariant(this.#admitting !== undefined, "the door has a side before anybody comes in");
    return this.#admitting;
  }

  #openSide(kek: KeyProvider | undefined): Promise<OpenSide> {
    const opening: Promise<OpenSide> = this.#openWith(kek, () => {
      opening
        .then((open) => this.#inTurn(() => this.#seal(open)))
        .catch((failure: unknown) => this.#notSealed(failure));
    });
    return opening;
  }

  async #openWith(kek: KeyProvider | undefined, sealing: () => void): Promise<OpenSide> {
    const { layout, identity } = this.#parts;
    const boot = (await readBootRecord(layout.bootFile, identity)) ?? this.#parts.boot;
    const own = { doors: () => this.doors, spotlight: () => this.spotlight, sealing };
    return await OpenSide.open({ ...this.#parts, boot, kek, ...own });
  }

  async #sealedSide(record: DoorRecord, reason: string): Promise<SealedSide> {
    const { version, layout } = this.#parts;
    const keyKinds = await vaultKeyKinds(layout.vaultDir);
    const quic = (): string => this.doors.addresses("network").quic ?? "";
    const grpc = (): string => this.doors.addresses("network").grpc ?? "";
    return new SealedSide({
      ...{
        ...this.#parts,
        record,
        spotlight: () => this.spotlight,
        facts: { version, quic, grpc, reason, keyKinds },
      },
      unseal: (key, caller) => this.#inTurn(() => this.#unseal(key, caller)),
    });
  }

  /** The answer to whoever asked gets some time to leave; then those in flight do. */
  async #seal(open: OpenSide): Promise<void> {
    if (this.#side !== open || this.#isClosed) return;
    const { clock, logger } = this.#parts;
    await pause(LIMITS.sealLingerMs, clock);
    if (this.#isClosed) return;
    const sealed = await this.#sealedSide(open.doorRecord, "its owner sealed it");
    this.#admitting = between(open);
    await open.drain();
    this.#side = undefined;
    try {
      await open[Symbol.asyncDispose]();
    } catch (failure) {
      // What could not be closed in order is dropped all the same.
      logger.error("seal-not-in-order", { error: failure instanceof Error ? failure.message : "unknown" });
    }
    this.doors.replaceTls(sealed.serverTls);
    await forgetPlaintext();
    this.#admitting = this.#side = sealed;
    logger.warn("sealed");
  }

  #notSealed(failure: unknown): void {
    this.#parts.logger.error("not-sealed", { error: failure instanceof Error ? failure.message : "unknown" });
  }

  async #unseal(key: UnsealKey, { deviceId }: Peer): Promise<{ readonly state: string }> {
    const sealed = this.#side;
    if (!(sealed instanceof SealedSide) || this.#isClosed) {
      throw new GatehouseError("rpc.draining", "the gatehouse is opening or closing");
    }
    const open = await this.#attempt(key);
    try {
      await this.#record(open, { principal: deviceId, isRecovery: key.recoveryKey.length > 0 });
    } catch (failure) {
      await open[Symbol.asyncDispose]();
      throw failure;
    }
    this.#attempts.clear();
    this.doors.replaceTls(open.serverTls);
    this.#admitting = this.#side = open;
    const { clock, logger } = this.#parts;
    logger.warn("unsealed");
    void pause(LIMITS.sealLingerMs, clock).then(() => sealed[Symbol.asyncDispose]());
    return { state: open.storage.vault.state.kind };
  }

  /** Only what somebody typed can be guessed at. */
  async #attempt(key: UnsealKey): Promise<OpenSide> {
    const isGuess = key.passphrase.length > 0 || key.recoveryKey.length > 0;
    if (isGuess) this.#attempts.check();
    try {
      return await this.#openSide(await this.#provider(key));
    } catch (failure) {
      const isWrong = isGatehouseError(failure, "vault.wrong-key");
      if (isWrong && isGuess) this.#attempts.failed();
      this.#parts.logger.warn("not-unsealed", {
        code: isGatehouseError(failure) ? failure.code : "rpc.internal",
      });
      throw failure;
    }
  }

  /** What was tried on the sealed door could not be written down before. */
  async #record(
    { storage }: OpenSide,
    { principal, isRecovery }: { readonly principal: string; readonly isRecovery: boolean },
  ): Promise<void> {
    const resource = `gatehouse:${this.#parts.identity.id}`;
    const event = { principal, principalRole: "owner", action: "vault:unseal", resource } as const;
    const { wrong } = this.#attempts;
    if (wrong !== undefined) {
      const detail = {
        attempts: String(wrong.count),
        firstAt: new Date(wrong.firstAt).toISOString(),
        lastAt: new Date(wrong.lastAt).toISOString(),
      };
      await storage.audit.append({ ...event, outcome: "failed", code: "vault.wrong-key", detail });
    }
    const done = { ...event, outcome: "done" } as const;
    await storage.audit.append(isRecovery ? { ...done, detail: { key: "recovery" } } : done);
  }

  /** What the daemon can ask by itself needs no more than the call. @throws vault.key-missing */
  async #provider({ passphrase, recoveryKey }: UnsealKey): Promise<KeyProvider> {
    const { layout, keyDir, random, kek } = this.#parts;
    const kinds = await vaultKeyKinds(layout.vaultDir);
    if (recoveryKey.length > 0) return recoveryProvider({ ask: async () => unmovedCopyOf(recoveryKey) });
    if (passphrase.length > 0 && kinds.includes("passphrase")) {
      return passphraseProvider({ random, ask: async () => unmovedCopyOf(passphrase) });
    }
    if (kek !== undefined && kek.kind !== "passphrase" && kinds.includes(kek.kind)) return kek;
    if (kinds.includes("key-file")) return keyFileProvider({ dir: keyDir, random });
    throw new GatehouseError(
      "vault.key-missing",
      `the vault is opened by a key of the kind ${kinds.join(" or ")}`,
      {
        hint: "type the passphrase, give the recovery key with --recovery, or start the gatehouse with --kek",
      },
    );
  }

  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function pause(delayMs: number, clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve);
  });
}

function neverOpen(): GatehouseError<"vault.key-missing"> {
  return new GatehouseError(
    "vault.key-missing",
    "this gatehouse cannot be started sealed: it was never open",
    {
      hint: "start it with its key once",
    },
  );
}
