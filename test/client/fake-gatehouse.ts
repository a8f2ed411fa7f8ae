/** A gatehouse without a network: connections whose handshakes and ends the test decides, and a real router behind them. */
import type { Carriage, Dialer, Dialled, DialOptions, MoveOn } from "../../src/client/link/lane.ts";
import { Link, type ResumptionMode } from "../../src/client/link/link.ts";
import type { Resumption } from "../../src/client/link/tickets.ts";
import { type Clock, GatehouseError, silentLogger, type UnixMs } from "../../src/core/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { Caller, EarlyData, Router } from "../../src/rpc/index.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type MemoryStream, memoryStreams } from "../support/memory-wire.ts";
import { SeededRandom } from "../support/seeded-random.ts";

export const { Ping: PING } = METHODS.Health;
export const { Put: PUT } = METHODS.Vault;
export const { Open: OPEN } = METHODS.Pairing;

export const failure = (code: ConstructorParameters<typeof GatehouseError>[0]): GatehouseError =>
  new GatehouseError(code, `${code} as the test says`);

/** Knows how many of its timers are running. */
export class CountingClock implements Clock {
  readonly #clock = new ManualClock();
  timers = 0;

  now(): UnixMs {
    return this.#clock.now();
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  setTimer(delayMs: number, run: () => void): Disposable {
    let isRunning = true;
    this.timers += 1;
    const stop = (): void => {
      if (isRunning) this.timers -= 1;
      isRunning = false;
    };
    const timer = this.#clock.setTimer(delayMs, () => {
      stop();
      run();
    });
    return {
      [Symbol.dispose]: () => {
        stop();
        timer[Symbol.dispose]();
      },
    };
  }

  advance(ms: number): void {
    this.#clock.advance(ms);
  }

  stepWall(ms: number): void {
    this.#clock.stepWall(ms);
  }
}

export class FakeConnection implements Carriage, Dialled {
  readonly connection = this;
  readonly handshakeMs = 7;
  readonly rttMs = 20;
  readonly opened: Promise<{ readonly isResumed: boolean }>;
  readonly closed: Promise<GatehouseError>;
  readonly streams: { readonly near: MemoryStream; readonly far: MemoryStream }[] = [];
  readonly wire = "quic";
  readonly reason = "";
  isOpen = false;
  isEarly: boolean;
  isDisposed = false;
  moves = 0;
  /** Streams lead nowhere: nobody answers. */
  isSilent = false;
  /** What is sent again and again is not acknowledged. */
  isDead = false;
  /** The transport has nothing to say, and hears nothing. */
  isIdle = false;
  #packets = 0;
  #unheard = 0;
  readonly moveOn: (reason: MoveOn) => void;
  readonly #serve: (stream: MemoryStream) => void;
  #isOver: GatehouseError | undefined;
  #settle: {
    opened(handshake: { readonly isResumed: boolean }): void;
    failed(error: GatehouseError): void;
    closed(error: GatehouseError): void;
  } = { opened: () => undefined, failed: () => undefined, closed: () => undefined };

  constructor(isEarly: boolean, moveOn: (reason: MoveOn) => void, serve: (stream: MemoryStream) => void) {
    this.isEarly = isEarly;
    this.moveOn = moveOn;
    this.#serve = serve;
    this.opened = new Promise((resolve, reject) => {
      this.#settle.opened = resolve;
      this.#settle.failed = reject;
    });
    this.opened.catch(() => undefined);
    this.closed = new Promise((resolve) => {
      this.#settle.closed = resolve;
    });
  }

  get traffic(): { readonly sent: number; readonly received: number } {
    if (!this.isIdle) this.#packets += 1;
    if (this.isDead) this.#unheard += 1;
    return { sent: 3 * this.#packets, received: this.#packets - this.#unheard };
  }

  get streamCount(): number {
    return this.streams.filter(({ far }) => !far.hasFinished && !far.isOver).length;
  }

  openStream(): MemoryStream {
    const pair = memoryStreams({}, this.isEarly);
    const over = this.#isOver;
    if (over !== undefined) {
      queueMicrotask(() => pair.near.drop(over));
      return pair.near;
    }
    this.streams.push(pair);
    if (!this.isSilent) this.#serve(pair.far);
    return pair.near;
  }

  open(isResumed: boolean): void {
    this.isEarly = false;
    this.isOpen = true;
    this.#settle.opened({ isResumed });
  }

  /** As the transport does it: the streams hear first. */
  end(error: GatehouseError): void {
    if (this.#isOver !== undefined) return;
    this.#isOver = error;
    this.isOpen = false;
    this.isEarly = false;
    for (const { near, far } of this.streams) {
      near.drop(error);
      far.drop(error);
    }
    this.#settle.failed(error);
    this.#settle.closed(error);
  }

  async migrate(): Promise<void> {
    this.moves += 1;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.isDisposed = true;
    this.end(new GatehouseError("quic.closed", "this side closed the connection"));
  }
}

export type Answer = "open" | "early" | GatehouseError;

export interface FakeGatehouseOptions {
  readonly resumption?: ResumptionMode;
  readonly tickets?: number;
}

/** Dials what `script` says, one entry a dial; then the last one again and again. */
export class FakeGatehouse implements Dialer {
  readonly clock = new CountingClock();
  readonly random = new SeededRandom(5);
  readonly caller = new Caller({ clock: this.clock, random: this.random });
  readonly connections: FakeConnection[] = [];
  readonly dials: DialOptions[] = [];
  readonly router: Router<string>;
  readonly requestIds: string[] = [];
  /** What the next puts are answered with. */
  refusals: GatehouseError[] = [];
  script: readonly Answer[];
  tickets: number;
  /** So often something can be done about a certificate that has run out; and what that was. */
  renewals = 0;
  readonly mended: string[] = [];
  #isMending = false;
  /** Of connections yet to be made. */
  isSilent = false;
  readonly #resumption: ResumptionMode;

  constructor(script: readonly Answer[], { resumption = "early", tickets = 0 }: FakeGatehouseOptions = {}) {
    this.script = script;
    this.tickets = tickets;
    this.#resumption = resumption;
    this.router = this.newRouter();
  }

  newRouter(): Router<string> {
    const { clock } = this;
    const earlyData = new EarlyData<string>({ clock, ownerOf: (peer) => peer });
    const router = new Router<string>({ clock, log: silentLogger, earlyData });
    const seen = ({ requestId }: { readonly requestId: Uint8Array | undefined }): void => {
      this.requestIds.push(Buffer.from(requestId ?? []).toString("hex"));
    };
    router.handle(PING, ({ payload }, context) => {
      seen(context);
      return { payload };
    });
    router.handle(PUT, ({ path }, context) => {
      seen(context);
      const refusal = this.refusals.shift();
      if (refusal !== undefined) throw refusal;
      return this.change(path, this.requestIds.at(-1) ?? "");
    });
    router.handle(OPEN, async function* () {
      yield { expired: {} };
    });
    return router;
  }

  /** What a put does and is answered with. */
  protected change(_path: string, _requestId: string): Promise<{ version: number }> | { version: number } {
    return { version: 1 };
  }

  at(index: number): FakeConnection {
    const connection = this.connections[index];
    if (connection === undefined) throw new Error(`connection ${index} was not made`);
    return connection;
  }

  /** One that nobody has dialled. */
  connection(): FakeConnection {
    const made = new FakeConnection(
      false,
      () => undefined,
      (stream) => this.router.serve(stream, "device"),
    );
    made.open(false);
    return made;
  }

  link(signal?: AbortSignal): Promise<Link> {
    const { clock, random } = this;
    return Link.open(
      { dialer: this, clock, random, resumption: this.#resumption },
      { timeoutMs: 1_000, signal },
    );
  }

  async resumption(wanted: "ticket" | "no-ticket"): Promise<Resumption> {
    const hasTicket = wanted === "ticket" && this.tickets > 0;
    if (hasTicket) this.tickets -= 1;
    return { session: hasTicket ? Uint8Array.of(this.tickets) : undefined, rttMs: undefined };
  }

  mends({ code }: GatehouseError): boolean {
    if (code !== "certificate.expired") return false;
    if (this.renewals > 0) this.mended.push(code);
    this.renewals -= 1;
    this.#isMending ||= this.renewals >= 0;
    return this.#isMending;
  }

  hasOtherWay(): boolean {
    return false;
  }

  async dial(options: DialOptions): Promise<Dialled> {
    this.dials.push(options);
    const [answer = "open", ...rest] = this.script;
    if (rest.length > 0) this.script = rest;
    if (answer instanceof GatehouseError) throw answer;
    const connection: FakeConnection = new FakeConnection(
      answer === "early",
      (reason) => options.onMoveOn(reason, connection),
      (stream) => this.router.serve(stream, "device"),
    );
    connection.isSilent = this.isSilent;
    if (answer === "open") connection.open(options.resumption.session !== undefined);
    this.connections.push(connection);
    return connection;
  }
}
