import { type Clock, GatehouseError, LIMITS, type Random, type UnixMs, unixMs, utf8 } from "../core/index.ts";
import { makePairingCode } from "./code.ts";
import type { PairingLimiter } from "./limiter.ts";
import type { PairingMode } from "./messages.ts";

/**
 * One opening of the door for one new device.
 *
 * What a code's six digits are worth: a joiner's tag is the only thing that tells a right guess from a wrong one, and
 * the gatehouse checks at most one wrong tag a code. The code is dead in memory the moment a tag is found wrong, on
 * disk before the answer leaves. Exchanges by code run one at a time, so that two tags never race. An exchange that
 * ends before a tag was shown has taught the stranger nothing (the gatehouse's share is uniformly random whatever the
 * code is) and does not burn the code; after 16 of them it is burnt all the same, since nobody honest needs so many.
 *
 * The URI's secret has 128 bits: guesses at it are not counted, run beside each other, and burn nothing. A burnt code
 * ends its window, so the way past somebody who burns every code is a window by URI only.
 */

export const URI_SECRET_BYTES = 16;

export type PairingWindowState = "open" | "busy" | "enrolling" | "paired" | "burnt" | "expired" | "closed";

export interface PairedDevice {
  readonly deviceId: string;
  readonly name: string;
  readonly role: string;
}

/** What `enroll` answers: the device is known, certified, stored and audited. */
export interface PairingGrant extends PairedDevice {
  /** DER. */
  readonly certificate: Uint8Array;
  /** DER, newest generation first, 1 to 4. */
  readonly caCertificates: readonly Uint8Array[];
}

/** `retired` comes last, once: from then on no new connection has business with this window. */
export type PairingWindowEvent =
  | { readonly kind: "paired"; readonly device: PairedDevice }
  | { readonly kind: "burnt" }
  | { readonly kind: "expired" }
  | { readonly kind: "closed" }
  | { readonly kind: "retired" };

export interface PairingWindowOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly limiter: PairingLimiter;
  /** The role of whoever comes. */
  readonly role: string;
  /** Default 120 000; 1 to 600 000. */
  readonly ttlMs?: number;
  /** `forced` opens with a code although code pairing is paused. Default `unless-paused`. */
  readonly code?: "unless-paused" | "forced" | "none";
  readonly onEvent: (event: PairingWindowEvent) => void;
}

/** One joiner's exchange, from its hello to its end. */
export interface PairingAttempt {
  /** What the joiner has to know: the code's digits or the URI's bytes. Borrowed. */
  readonly secret: Uint8Array;
  readonly role: string;
  /** Aborted, with the error to answer, when time is up or the window is over. */
  readonly signal: AbortSignal;
  /**
   * Takes the verdict on the joiner's tag; call it exactly once, before anything about it leaves.
   * @throws GatehouseError `pairing.wrong-code`, after a code was burnt on disk; whatever the limiter's store throws.
   */
  prove(isRight: boolean): Promise<void>;
  /**
   * Runs `enroll`, unless this very identity was granted before: then the same grant again.
   * @throws GatehouseError `pairing.closed` when another joiner was faster; whatever `enroll` throws, and the window
   * is open again then.
   */
  enroll(enroll: () => Promise<PairingGrant>): Promise<PairingGrant>;
  /** The joiner has stored its grant: nobody needs this window any more. */
  acknowledge(): void;
  /** Ends the attempt however it went; may be called again. */
  end(): void;
}

interface Attempt {
  readonly mode: PairingMode;
  readonly identityKey: string;
  readonly controller: AbortController;
  stage: "unproven" | "proven";
  deadline: Disposable | undefined;
}

interface Granted {
  readonly identityKey: string;
  readonly grant: PairingGrant;
  isRejoinable: boolean;
}

type Over = "burnt" | "expired" | "closed";

export class PairingWindow implements Disposable {
  /** Six digits; `undefined` in a window by URI only. */
  readonly code: string | undefined;
  readonly uriSecret: Uint8Array;
  readonly role: string;
  readonly expiresAt: UnixMs;
  readonly #clock: Clock;
  readonly #limiter: PairingLimiter;
  readonly #onEvent: (event: PairingWindowEvent) => void;
  readonly #attempts = new Set<Attempt>();
  #over: Over | undefined;
  #enrolling: Attempt | undefined;
  #granted: Granted | undefined;
  #isCodeBurnt = false;
  #isRetired = false;
  #unprovenAttempts = 0;
  #timer: Disposable;

  private constructor(options: PairingWindowOptions, ttlMs: number) {
    this.code = options.code === "none" ? undefined : makePairingCode(options.random);
    this.uriSecret = options.random.bytes(URI_SECRET_BYTES);
    this.role = options.role;
    this.#clock = options.clock;
    this.#limiter = options.limiter;
    this.#onEvent = options.onEvent;
    this.expiresAt = unixMs(options.clock.now() + ttlMs);
    this.#timer = options.clock.setTimer(ttlMs, () => this.#stop("expired"));
  }

  /**
   * @throws GatehouseError `pairing.paused` when too many codes were burnt, unless `code` says otherwise.
   * @throws RangeError when `ttlMs` is out of bounds.
   */
  static open(options: PairingWindowOptions): PairingWindow {
    const ttlMs = options.ttlMs ?? LIMITS.pairingTtlMs;
    if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > LIMITS.pairingTtlMaxMs) {
      throw new RangeError(`PairingWindow: ttlMs of ${ttlMs}, not 1 to ${LIMITS.pairingTtlMaxMs}`);
    }
    if ((options.code ?? "unless-paused") === "unless-paused") options.limiter.check();
    return new PairingWindow(options, ttlMs);
  }

  get state(): PairingWindowState {
    if (this.#granted !== undefined) return "paired";
    if (this.#enrolling !== undefined) return "enrolling";
    if (this.#over !== undefined) return this.#over;
    return this.#codeAttempt === undefined ? "open" : "busy";
  }

  /** True while a new connection may have business here: strangers are let past TLS only then. */
  get isAccepting(): boolean {
    return !this.#isRetired;
  }

  /**
   * A joiner has said hello.
   * @throws GatehouseError `pairing.code-burnt`, `pairing.expired`, `pairing.closed`, or `pairing.busy` while somebody
   * else tries the code.
   */
  begin(mode: PairingMode, identityKey: Uint8Array): PairingAttempt {
    const identity = Buffer.from(identityKey).toString("hex");
    const secret = this.#secretFor(mode, identity);
    if (mode === "uri") this.#makeRoom();
    const attempt: Attempt = {
      mode,
      identityKey: identity,
      controller: new AbortController(),
      stage: "unproven",
      deadline: undefined,
    };
    this.#attempts.add(attempt);
    this.#arm(attempt, LIMITS.pairingProofMs);
    return {
      secret,
      role: this.role,
      signal: attempt.controller.signal,
      prove: (isRight) => this.#prove(attempt, isRight),
      enroll: (enroll) => this.#enroll(attempt, enroll),
      acknowledge: () => this.#retire(),
      end: () => this.#end(attempt),
    };
  }

  /**
   * The owner has no more use for the window. A grant that is being stored right now is still completed, and one that
   * was given may still be fetched again for its short while.
   */
  close(): void {
    if (this.#granted === undefined) this.#stop("closed");
  }

  /** Closes, and takes no one back either. */
  [Symbol.dispose](): void {
    this.#stop("closed");
  }

  get #codeAttempt(): Attempt | undefined {
    return [...this.#attempts].find(({ mode }) => mode === "code");
  }

  #secretFor(mode: PairingMode, identityKey: string): Uint8Array {
    if (mode === "code" && this.#isCodeBurnt) throw burnt();
    if (this.#granted !== undefined) {
      const mayReturn = this.#granted.isRejoinable && this.#granted.identityKey === identityKey;
      if (!mayReturn || this.#isRetired) throw closed();
    } else if (this.#over !== undefined) {
      throw overError(this.#over);
    }
    if (mode === "uri") return this.uriSecret;
    if (this.code === undefined) throw closed();
    if (this.#codeAttempt !== undefined) throw busy();
    return utf8(this.code);
  }

  #makeRoom(): void {
    const byUri = [...this.#attempts].filter(({ mode }) => mode === "uri");
    if (byUri.length < LIMITS.pairingUriAttempts) return;
    const oldest = byUri.find(({ stage }) => stage === "unproven");
    if (oldest === undefined) throw busy();
    this.#abort(oldest, busy());
  }

  async #prove(attempt: Attempt, isRight: boolean): Promise<void> {
    if (!this.#attempts.has(attempt) || attempt.stage !== "unproven") throw this.#reasonOf(attempt);
    if (isRight) {
      attempt.stage = "proven";
      this.#arm(attempt, LIMITS.pairingExchangeMs);
      return;
    }
    // The signal stays quiet: a link that closed before the verdict was on disk would give it away.
    this.#release(attempt);
    if (attempt.mode === "code") await this.#burn();
    throw new GatehouseError("pairing.wrong-code", `the ${attempt.mode} is not right`, {
      hint: "a code is good for one try: open a new window with `gatehouse pair open`",
    });
  }

  async #enroll(attempt: Attempt, enroll: () => Promise<PairingGrant>): Promise<PairingGrant> {
    if (!this.#attempts.has(attempt) || attempt.stage !== "proven") throw this.#reasonOf(attempt);
    if (this.#granted !== undefined) {
      if (this.#granted.identityKey === attempt.identityKey) return this.#granted.grant;
      throw closed();
    }
    if (this.#enrolling !== undefined) throw closed();
    this.#enrolling = attempt;
    attempt.deadline?.[Symbol.dispose]();
    try {
      const grant = await enroll();
      this.#granted = { identityKey: attempt.identityKey, grant, isRejoinable: true };
      return grant;
    } finally {
      this.#enrolling = undefined;
      this.#arm(attempt, LIMITS.pairingExchangeMs);
      this.#afterEnrolling();
    }
  }

  #afterEnrolling(): void {
    if (this.#granted === undefined) {
      if (this.#over !== undefined) this.#announce(this.#over);
      return;
    }
    const { identityKey, grant } = this.#granted;
    for (const other of this.#attempts) {
      if (other.identityKey !== identityKey) this.#abort(other, closed());
    }
    this.#onEvent({
      kind: "paired",
      device: { deviceId: grant.deviceId, name: grant.name, role: grant.role },
    });
    this.#timer[Symbol.dispose]();
    this.#timer = this.#clock.setTimer(LIMITS.pairingRejoinMs, () => this.#retire());
  }

  /** A link that is gone before it showed a tag frees the slot; too many of them cost the code. */
  #end(attempt: Attempt): void {
    const wasUnproven = attempt.stage === "unproven" && this.#attempts.has(attempt);
    this.#release(attempt);
    if (wasUnproven && attempt.mode === "code") this.#countUnproven();
  }

  #abort(attempt: Attempt, reason: GatehouseError): void {
    if (!this.#attempts.has(attempt) || this.#enrolling === attempt) return;
    this.#drop(attempt, reason);
    if (attempt.stage === "unproven" && attempt.mode === "code") this.#countUnproven();
  }

  #countUnproven(): void {
    this.#unprovenAttempts += 1;
    if (this.#unprovenAttempts < LIMITS.pairingUnprovenAttempts) return;
    // Nobody waits for this one: the code is dead in memory at once, and the next opening meets the limiter.
    this.#burn().catch(() => undefined);
  }

  #arm(attempt: Attempt, delayMs: number): void {
    attempt.deadline?.[Symbol.dispose]();
    if (!this.#attempts.has(attempt)) return;
    attempt.deadline = this.#clock.setTimer(delayMs, () => this.#abort(attempt, timedOut()));
  }

  #release(attempt: Attempt): void {
    attempt.deadline?.[Symbol.dispose]();
    this.#attempts.delete(attempt);
  }

  #drop(attempt: Attempt, reason: GatehouseError): void {
    this.#release(attempt);
    attempt.controller.abort(reason);
  }

  async #burn(): Promise<void> {
    if (this.#isCodeBurnt) return;
    this.#isCodeBurnt = true;
    if (this.#granted !== undefined) this.#granted.isRejoinable = false;
    // Nothing about the verdict may be seen before it is on disk: not even the event.
    try {
      await this.#limiter.recordBurnt();
    } finally {
      this.#stop("burnt");
    }
  }

  #stop(how: Over): void {
    if (this.#granted !== undefined) {
      this.#retire();
      return;
    }
    if (this.#over !== undefined) return;
    this.#over = how;
    for (const attempt of this.#attempts) this.#abort(attempt, overError(how));
    if (this.#enrolling === undefined) this.#announce(how);
  }

  #announce(how: Over): void {
    this.#onEvent({ kind: how });
    this.#retire();
  }

  #retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#timer[Symbol.dispose]();
    this.uriSecret.fill(0);
    this.#onEvent({ kind: "retired" });
  }

  #reasonOf(attempt: Attempt): unknown {
    const { signal } = attempt.controller;
    return signal.aborted ? signal.reason : closed();
  }
}

function overError(how: Over): GatehouseError {
  switch (how) {
    case "burnt":
      return burnt();
    case "expired":
      return new GatehouseError("pairing.expired", "the pairing window has expired", {
        hint: "open a new one with `gatehouse pair open`",
      });
    case "closed":
      return closed();
  }
}

function burnt(): GatehouseError {
  return new GatehouseError("pairing.code-burnt", "this code was tried wrongly and is dead", {
    hint: "open a new window with `gatehouse pair open`",
  });
}

function closed(): GatehouseError {
  return new GatehouseError("pairing.closed", "no pairing window is open for this device", {
    hint: "open one with `gatehouse pair open` on the gatehouse",
  });
}

function busy(): GatehouseError {
  return new GatehouseError("pairing.busy", "another device is using this window", { retryAfterMs: 1_000 });
}

function timedOut(): GatehouseError {
  return new GatehouseError("pairing.expired", "the pairing exchange took too long", {
    hint: "try again with the same code",
  });
}
