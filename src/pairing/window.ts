import { type GatehouseError, LIMITS, type UnixMs, unixMs, utf8 } from "../core/index.ts";
import {
  type JoinerFacts,
  type JoinerKeys,
  joinerOf,
  type PairingAttempt,
  type PairingGrant,
} from "./attempt.ts";
import { type Attempt, Attempts } from "./attempts.ts";
import { makePairingCode } from "./code.ts";
import type { PairingMode } from "./messages.ts";
import type { Joiner, Question } from "./question.ts";
import { Questions } from "./questions.ts";
import {
  burnt,
  busy,
  closed,
  denied,
  notWaiting,
  type Over,
  otherTerms,
  overError,
  staleSecret,
  superseded,
  unanswered,
  wrongSecret,
} from "./refusals.ts";
import type { PairingVerdict, PairingWindowOptions, PairingWindowState } from "./window-face.ts";

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
 *
 * A joiner whose link broke comes back over a new connection, under the same identity key and with the same TLS key,
 * which its handshake has proven: nobody else takes its slot, its question or its grant from it. Its unproven attempt
 * gives way at once and counts as one that dropped; what it has proven stays until it has proven the secret again.
 */

export const URI_SECRET_BYTES = 16;

interface Granted {
  readonly mode: PairingMode;
  readonly joiner: string;
  readonly grant: PairingGrant;
}

interface Enrolling {
  readonly attempt: Attempt;
  readonly grant: Promise<PairingGrant>;
}

export class PairingWindow implements Disposable {
  /** Six digits; `undefined` in a window by URI only. */
  readonly code: string | undefined;
  readonly uriSecret: Uint8Array;
  readonly role: string;
  readonly expiresAt: UnixMs;
  readonly #options: PairingWindowOptions;
  readonly #attempts: Attempts;
  readonly #questions: Questions;
  #over: Over | undefined;
  #enrolling: Enrolling | undefined;
  #granted: Granted | undefined;
  #isCodeBurnt = false;
  #isRetired = false;
  #unprovenAttempts = 0;
  #timer: Disposable;

  private constructor(options: PairingWindowOptions, ttlMs: number) {
    const { clock, random } = options;
    this.code = options.code === "none" ? undefined : makePairingCode(random);
    this.uriSecret = random.bytes(URI_SECRET_BYTES);
    this.role = options.role;
    this.#options = options;
    this.#attempts = new Attempts({
      clock,
      isHeld: (attempt) => this.#enrolling?.attempt === attempt,
      onUnproven: () => this.#countUnproven(),
    });
    this.#questions = new Questions({
      ...{ clock, role: this.role, requireApproval: options.requireApproval ?? false },
      findByName: options.findByName ?? (() => undefined),
      onAsked: (joiner) => options.onEvent({ kind: "asked", joiner }),
      onExpired: (question) => this.#questionExpired(question),
    });
    this.expiresAt = unixMs(clock.now() + ttlMs);
    this.#timer = clock.setTimer(ttlMs, () => this.#stop("expired"));
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
    if (!this.#questions.isEmpty) return "asking";
    if (this.#over !== undefined) return this.#over;
    return this.#attempts.by("code").length === 0 ? "open" : "busy";
  }

  /** True while a new connection may have business here: strangers are let past TLS only then. */
  get isAccepting(): boolean {
    return !this.#isRetired;
  }

  /** Joiners about whom somebody is asked now. */
  get waiting(): readonly Joiner[] {
    return this.#questions.unanswered.map(({ joiner }) => joiner);
  }

  /** True for the joiner that was granted here, while it may fetch its grant again the way it came. */
  mayReturn(mode: PairingMode, keys: JoinerKeys): boolean {
    return this.#granted?.mode === mode && this.#mayReturn(joinerOf(keys));
  }

  /**
   * A joiner has said hello.
   * @throws GatehouseError `pairing.code-burnt`, `pairing.expired`, `pairing.closed`, or `pairing.busy` while somebody
   * else tries the code.
   */
  begin(mode: PairingMode, keys: JoinerKeys): PairingAttempt {
    const secret = this.#secretFor(mode, joinerOf(keys));
    if (mode === "uri") this.#attempts.makeRoom();
    const attempt = this.#attempts.add(mode, keys);
    this.#attempts.arm(attempt, LIMITS.pairingProofMs);
    return {
      secret,
      role: this.role,
      signal: attempt.controller.signal,
      prove: (isRight) => this.#prove(attempt, isRight),
      ask: (facts) => this.#ask(attempt, facts),
      enroll: (enroll) => this.#enroll(attempt, enroll),
      acknowledge: () => this.#retire(),
      end: () => this.#attempts.end(attempt),
    };
  }

  /**
   * Answers the question about a joiner; the first answer counts. A yes lets it in. A no closes the window: whoever was
   * refused knew its secret.
   * @throws GatehouseError `pairing.not-waiting`.
   */
  decide(deviceId: string, verdict: PairingVerdict): Joiner {
    const question = this.#questions.unanswered.find(({ joiner }) => joiner.deviceId === deviceId);
    if (question === undefined) throw notWaiting();
    if (verdict === "approve") {
      question.approve();
      return question.joiner;
    }
    this.#withdraw(question, denied());
    this.#options.onEvent({ kind: "denied", deviceId });
    this.#stop("closed");
    return question.joiner;
  }

  /**
   * The owner has no more use for the window. A grant that is being stored right now is still completed, and one that
   * was given may still be fetched again for its short while; who waits for an answer gets none.
   */
  close(): void {
    if (this.#granted === undefined) this.#stop("closed");
  }

  /** Closes, and takes no one back either. */
  [Symbol.dispose](): void {
    this.#stop("closed");
  }

  #mayReturn(joiner: string): boolean {
    return this.#granted?.joiner === joiner && !this.#isRetired;
  }

  #secretFor(mode: PairingMode, joiner: string): Uint8Array {
    if (mode === "code" && this.#isCodeBurnt) throw burnt();
    if (this.#granted !== undefined) {
      if (!this.#mayReturn(joiner)) throw closed();
    } else if (this.#over !== undefined && !this.#isUnderWay(joiner)) {
      throw overError(this.#over);
    }
    if (mode === "uri") return this.uriSecret;
    if (this.code === undefined) throw closed();
    this.#takeCode(joiner);
    return utf8(this.code);
  }

  /** A window that is over still ends what it has begun with those who have proven themselves. */
  #isUnderWay(joiner: string): boolean {
    if (this.#enrolling?.attempt.joiner === joiner) return true;
    return this.#questions.all.some(({ attempt }) => attempt.joiner === joiner);
  }

  /** One at a time; a joiner's own attempts do not stand in its way. */
  #takeCode(joiner: string): void {
    const tried = this.#attempts.by("code");
    const asked = this.#questions.all.filter(({ mode }) => mode === "code");
    const holders = [...tried, ...asked.map(({ attempt }) => attempt)];
    if (holders.some((other) => other.joiner !== joiner)) throw busy();
    for (const own of tried) if (own.stage === "unproven") this.#attempts.abort(own, superseded());
    if (this.#isCodeBurnt) throw burnt();
  }

  async #prove(attempt: Attempt, isRight: boolean): Promise<void> {
    this.#check(attempt, "unproven");
    if (isRight) {
      attempt.stage = "proven";
      this.#attempts.arm(attempt, LIMITS.pairingExchangeMs);
      return;
    }
    // The signal stays quiet: a link that closed before the verdict was on disk would give it away.
    this.#attempts.release(attempt, closed());
    if (this.#granted !== undefined) {
      this.#retire();
      throw staleSecret(attempt.mode);
    }
    if (attempt.mode === "code") await this.#burn();
    throw wrongSecret(attempt.mode);
  }

  #ask(attempt: Attempt, facts: JoinerFacts): number | undefined {
    this.#check(attempt, "proven");
    if (this.#settledFor(attempt) !== undefined) {
      attempt.stage = "sharing";
      return undefined;
    }
    this.#supersede(attempt);
    const question = this.#questions.of(attempt) ?? this.#questions.ask(attempt, facts);
    attempt.stage = question === undefined ? "free" : "asked";
    return question && this.#attach(attempt, facts, question);
  }

  #attach(attempt: Attempt, facts: JoinerFacts, question: Question): number | undefined {
    if (!question.isAbout(attempt, facts)) {
      attempt.stage = "proven";
      throw otherTerms();
    }
    const { attempt: earlier } = question;
    question.attempt = attempt;
    if (earlier !== attempt) this.#attempts.abort(earlier, superseded());
    this.#attempts.arm(attempt, undefined);
    return question.isApproved ? undefined : question.remainingMs;
  }

  /** @throws GatehouseError `pairing.closed` when the window is another joiner's. */
  #settledFor({ joiner }: Attempt): Promise<PairingGrant> | undefined {
    const settled =
      this.#granted === undefined
        ? this.#enrolling && { joiner: this.#enrolling.attempt.joiner, grant: this.#enrolling.grant }
        : { joiner: this.#granted.joiner, grant: Promise.resolve(this.#granted.grant) };
    if (settled !== undefined && settled.joiner !== joiner) throw closed();
    return settled?.grant;
  }

  /** A joiner that has proven itself again needs its earlier attempt no more. */
  #supersede(attempt: Attempt): void {
    for (const other of this.#attempts.all) {
      const isEarlier = other !== attempt && other.joiner === attempt.joiner && other.stage === "proven";
      if (isEarlier) this.#attempts.abort(other, superseded());
    }
  }

  #questionExpired(question: Question): void {
    this.#withdraw(question, unanswered());
    this.#announceOver();
  }

  #withdraw(question: Question, reason: GatehouseError): void {
    this.#questions.forget(question);
    this.#attempts.abort(question.attempt, reason);
  }

  async #enroll(
    attempt: Attempt,
    enroll: (replaces: string | undefined) => Promise<PairingGrant>,
  ): Promise<PairingGrant> {
    this.#check(attempt, "free", "asked", "sharing");
    const question = attempt.stage === "asked" ? this.#questions.of(attempt) : undefined;
    if (question !== undefined) {
      await question.approved(attempt);
      this.#check(attempt, "asked");
    }
    const settled = this.#settledFor(attempt);
    if (settled !== undefined) return await settled;
    if (question === undefined) {
      this.#check(attempt, "free");
      return await this.#enrollNow(attempt, () => enroll(undefined));
    }
    this.#questions.forget(question);
    const { replaces } = question.joiner;
    return await this.#enrollNow(attempt, () => enroll(replaces === "" ? undefined : replaces));
  }

  async #enrollNow(attempt: Attempt, enroll: () => Promise<PairingGrant>): Promise<PairingGrant> {
    this.#attempts.arm(attempt, undefined);
    const enrolled = (async () => await enroll())();
    this.#enrolling = { attempt, grant: enrolled };
    try {
      const grant = await enrolled;
      this.#granted = { mode: attempt.mode, joiner: attempt.joiner, grant };
      return grant;
    } finally {
      this.#enrolling = undefined;
      this.#attempts.arm(attempt, LIMITS.pairingExchangeMs);
      this.#afterEnrolling();
    }
  }

  #afterEnrolling(): void {
    if (this.#granted === undefined) {
      this.#announceOver();
      return;
    }
    const { joiner, grant } = this.#granted;
    this.#sendAway(closed(), (other) => other.joiner !== joiner);
    const { deviceId, name, role } = grant;
    this.#options.onEvent({ kind: "paired", device: { deviceId, name, role } });
    this.#timer[Symbol.dispose]();
    this.#timer = this.#options.clock.setTimer(LIMITS.pairingRejoinMs, () => this.#retire());
  }

  #sendAway(reason: GatehouseError, isMeant: (attempt: Attempt) => boolean): void {
    for (const question of this.#questions.all) {
      if (isMeant(question.attempt)) this.#withdraw(question, reason);
    }
    for (const attempt of this.#attempts.all) if (isMeant(attempt)) this.#attempts.abort(attempt, reason);
  }

  #countUnproven(): void {
    this.#unprovenAttempts += 1;
    if (this.#unprovenAttempts < LIMITS.pairingUnprovenAttempts) return;
    // Nobody waits for this one: the code is dead in memory at once, and the next opening meets the limiter.
    this.#burn().catch(() => undefined);
  }

  async #burn(): Promise<void> {
    if (this.#isCodeBurnt) return;
    this.#isCodeBurnt = true;
    if (this.#granted !== undefined) {
      this.#retire();
      return;
    }
    // Nothing about the verdict may be seen before it is on disk: not even the event.
    try {
      await this.#options.limiter.recordBurnt();
    } finally {
      this.#stop("burnt");
    }
  }

  /** Time alone does not cut short those about whom somebody is being asked. */
  #stop(how: Over): void {
    if (this.#granted !== undefined) {
      this.#retire();
      return;
    }
    if (this.#isRetired) return;
    if (this.#over === undefined || this.#over === "expired") this.#over = how;
    this.#sendAway(overError(this.#over), (attempt) => how !== "expired" || !this.#questions.has(attempt));
    this.#announceOver();
  }

  #announceOver(): void {
    if (this.#over === undefined || this.#isRetired) return;
    if (this.#enrolling !== undefined || !this.#questions.isEmpty) return;
    this.#options.onEvent({ kind: this.#over });
    this.#retire();
  }

  #retire(): void {
    if (this.#isRetired) return;
    this.#isRetired = true;
    this.#timer[Symbol.dispose]();
    this.uriSecret.fill(0);
    this.#options.onEvent({ kind: "retired" });
  }

  #check(attempt: Attempt, ...stages: readonly Attempt["stage"][]): void {
    if (this.#attempts.has(attempt) && stages.includes(attempt.stage)) return;
    const { signal } = attempt.controller;
    throw signal.aborted ? signal.reason : closed();
  }
}
