import { concat, GatehouseError, isGatehouseError, type Logger, type Random } from "../core/index.ts";
import { LABELS, verifyLabelled } from "../crypto/index.ts";
import { deviceIdOf } from "../identity/index.ts";
import type { JoinerFacts, JoinerKeys, PairingAttempt, PairingGrant } from "./attempt.ts";
import {
  ASSOCIATED_DATA,
  type ChannelBinding,
  channelIdentifier,
  identityStatement,
  type PairingChannel,
  type PairingIdentity,
  SealedMessages,
  sessionIdentifier,
} from "./channel.ts";
import { type CpaceKey, type CpaceRun, startCpace } from "./cpace.ts";
import { framePairMessage, PairMessageDecoder } from "./framing.ts";
import { tlsKeyHash, verifyRequest } from "./keys.ts";
import {
  badMessage,
  decodePairMessage,
  encodePairMessage,
  type Hello,
  NONCE_BYTES,
  PAIRING_VERSION,
  type PairingMode,
  type PairMessage,
  type Request,
  type Sealed,
} from "./messages.ts";

/** A proven joiner's wish, checked as far as pairing can: its identity key signed the request for its own TLS key. */
export interface EnrollRequest {
  /** PKCS#10, DER. */
  readonly certificateRequest: Uint8Array;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly identityKey: Uint8Array;
  /** What the window was opened for; nothing that the joiner says. */
  readonly role: string;
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  /** Id of the device that somebody has agreed to revoke for it; it must still have this name. */
  readonly replaces: string | undefined;
}

/**
 * Registers the device, issues its certificate, stores and audits both, then resolves; supplied by the daemon.
 * A `GatehouseError` it throws is shown to the joiner.
 */
export type Enroll = (request: EnrollRequest) => Promise<PairingGrant>;

/** Where a joiner's hello leads: a `PairingWindow`, or whatever picks one of several. */
export interface PairingEntrance {
  /** @throws GatehouseError `pairing.*` when there is nothing for this joiner now. */
  begin(mode: PairingMode, keys: JoinerKeys): PairingAttempt;
}

export interface PairingResponderOptions {
  /** The window that is open now, if any. */
  readonly window: PairingEntrance | undefined;
  readonly identity: PairingIdentity;
  readonly gatehouseName: string;
  /** DER of the certificate that this side showed in the TLS handshake. */
  readonly certificate: Uint8Array;
  /** DER of the one that the joiner showed. */
  readonly peerCertificate: Uint8Array;
  /** Of the connection that this exchange runs over. */
  readonly binding: ChannelBinding;
  readonly enroll: Enroll;
  /** The joiner's IP address, for whoever is asked about it. Default: unknown. */
  readonly remoteAddress?: string;
  readonly random: Random;
  readonly logger: Logger;
}

/** What to do after `receive`. */
export interface PairingOutput {
  /** To be sent; may be empty. Owned by the caller. */
  readonly bytes: Uint8Array;
  /** Nothing more will be sent or read. */
  readonly isDone: boolean;
  /** Why it ended without a grant. */
  readonly failure?: GatehouseError;
}

export interface ResponderOutput extends PairingOutput {
  /** What is to be sent after `bytes`, once somebody has answered; never rejects. */
  readonly later?: Promise<PairingOutput>;
}

type State =
  | { readonly kind: "hello" }
  | { readonly kind: "share"; readonly channel: PairingChannel; readonly run: CpaceRun }
  | {
      readonly kind: "confirm";
      readonly channel: PairingChannel;
      readonly key: CpaceKey;
      readonly shares: Shares;
    }
  | { readonly kind: "request"; readonly channel: PairingChannel; readonly sealed: SealedMessages }
  | { readonly kind: "waiting" }
  | { readonly kind: "done"; readonly sealed: SealedMessages }
  | { readonly kind: "over" };

interface Shares {
  readonly joiner: Uint8Array;
  readonly gatehouse: Uint8Array;
}

interface Granting {
  readonly attempt: PairingAttempt;
  readonly body: Request;
  readonly channel: PairingChannel;
  readonly sealed: SealedMessages;
}

/** The gatehouse's side of one pairing connection: bytes in, bytes out; no sockets. Call `end` when the link is gone. */
export class PairingResponder implements Disposable {
  readonly #options: PairingResponderOptions;
  readonly #decoder = new PairMessageDecoder();
  #state: State = { kind: "hello" };
  #attempt: PairingAttempt | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #later: Promise<PairingOutput> | undefined;
  #isProven = false;

  constructor(options: PairingResponderOptions) {
    this.#options = options;
  }

  /** Aborts when the exchange must end although nothing was received: `fail` then says what to send. */
  get signal(): AbortSignal | undefined {
    return this.#attempt?.signal;
  }

  /** The joiner knows the secret, and its identity key is its own. */
  get isProven(): boolean {
    return this.#isProven;
  }

  /** Answers in the order of the calls; never rejects. */
  receive(bytes: Uint8Array): Promise<ResponderOutput> {
    const turn = this.#turn.then(() => this.#receive(bytes));
    this.#turn = turn;
    return turn;
  }

  /** Ends the exchange for `reason`; a no-op once it is over. */
  fail(reason: unknown): PairingOutput {
    if (this.#state.kind === "over") return { bytes: new Uint8Array(0), isDone: true };
    const failure = shown(reason);
    this.#options.logger.info("pairing-refused", { code: failure.code });
    this.end();
    return { bytes: refusal(failure), isDone: true, failure };
  }

  /** The link is gone, or no longer needed; may be called again. */
  end(): void {
    this.#state = { kind: "over" };
    this.#attempt?.end();
  }

  [Symbol.dispose](): void {
    this.end();
  }

  async #receive(bytes: Uint8Array): Promise<ResponderOutput> {
    const answers: Uint8Array[] = [];
    try {
      for (const message of this.#decoder.push(bytes)) {
        if (this.#state.kind === "over") break;
        const answer = await this.#step(decodePairMessage(message));
        if (answer !== undefined) answers.push(frame(answer));
      }
    } catch (error) {
      return this.fail(error);
    }
    const later = this.#later;
    this.#later = undefined;
    const output = { bytes: concat(...answers), isDone: this.#state.kind === "over" };
    return later === undefined ? output : { ...output, later };
  }

  async #step(message: PairMessage): Promise<PairMessage | undefined> {
    const state = this.#state;
    if (state.kind === "hello" && message.kind === "hello") return this.#hello(message);
    if (state.kind === "share" && message.kind === "share") return this.#share(state, message.element);
    if (state.kind === "confirm" && message.kind === "confirm") return await this.#confirm(state, message);
    if (state.kind === "request" && message.kind === "sealed") return await this.#request(state, message);
    if (state.kind === "done" && message.kind === "sealed") return this.#done(state, message);
    throw badMessage(`${message.kind} out of turn`);
  }

  #hello(hello: Hello): PairMessage {
    if (hello.version !== PAIRING_VERSION) throw badMessage(`version ${hello.version}`);
    const { window, identity, random, certificate, peerCertificate, binding } = this.#options;
    if (window === undefined) throw new GatehouseError("pairing.closed", "no pairing window is open");
    const joiner = { ...hello, tlsKeyHash: tlsKeyHash(peerCertificate) };
    this.#attempt = window.begin(hello.mode, joiner);
    const nonce = random.bytes(NONCE_BYTES);
    const channel: PairingChannel = {
      ...{ mode: hello.mode, binding, joiner },
      gatehouse: { identityKey: identity.publicKey, tlsKeyHash: tlsKeyHash(certificate), nonce },
    };
    const run = startCpace({
      role: "responder",
      secret: this.#attempt.secret,
      channel: channelIdentifier(channel),
      session: sessionIdentifier(channel),
      associatedData: ASSOCIATED_DATA.gatehouse,
      random,
    });
    this.#state = { kind: "share", channel, run };
    return { ...hello, nonce, identityKey: identity.publicKey };
  }

  #share({ channel, run }: State & { kind: "share" }, element: Uint8Array): PairMessage {
    const key = run.finish({ share: element, associatedData: ASSOCIATED_DATA.joiner });
    if (key === undefined) throw badMessage("not a usable share");
    this.#state = { kind: "confirm", channel, key, shares: { joiner: element, gatehouse: run.share } };
    return { kind: "share", element: run.share };
  }

  async #confirm(
    { channel, key, shares }: State & { kind: "confirm" },
    { tag, signature }: PairMessage & { kind: "confirm" },
  ): Promise<PairMessage> {
    await this.#attempt?.prove(key.isPeerTag(tag));
    const theirs = identityStatement("joiner", channel, shares);
    if (!verifyLabelled(channel.joiner.identityKey, LABELS.pairingConfirmation, theirs, signature)) {
      throw badMessage("not signed by its identity key");
    }
    this.#enter({ kind: "request", channel, sealed: new SealedMessages("gatehouse", key, channel) });
    this.#isProven = true;
    const ours = identityStatement("gatehouse", channel, shares);
    return {
      kind: "confirm",
      tag: key.tag,
      signature: this.#options.identity.sign(LABELS.pairingConfirmation, ours),
    };
  }

  async #request({ channel, sealed }: State & { kind: "request" }, message: Sealed): Promise<PairMessage> {
    const body = sealed.open(message);
    const attempt = this.#attempt;
    if (body.kind !== "request" || attempt === undefined) throw badMessage(`${body.kind} out of turn`);
    await verifyRequest(body.certificateRequest, channel.joiner);
    const timeoutMs = attempt.ask(this.#factsOf(body, channel));
    const granting = { attempt, body, channel, sealed };
    if (timeoutMs === undefined) return await this.#grant(granting);
    this.#enter({ kind: "waiting" });
    const pending = sealed.seal({ kind: "pending", timeoutMs });
    this.#later = this.#grantLater(granting);
    return pending;
  }

  #factsOf(body: Request, { joiner }: PairingChannel): JoinerFacts {
    return {
      deviceId: deviceIdOf(joiner.identityKey),
      name: body.name,
      kind: body.deviceKind,
      platform: body.platform,
      replace: body.replace,
      remoteAddress: this.#options.remoteAddress ?? "",
    };
  }

  async #grant({ attempt, body, channel, sealed }: Granting): Promise<PairMessage> {
    const { enroll, gatehouseName } = this.#options;
    const grant = await attempt.enroll((replaces) =>
      enroll({
        certificateRequest: body.certificateRequest,
        identityKey: channel.joiner.identityKey,
        role: attempt.role,
        name: body.name,
        kind: body.deviceKind,
        platform: body.platform,
        replaces,
      }),
    );
    this.#enter({ kind: "done", sealed });
    const { name: deviceName, ...fields } = grant;
    return sealed.seal({ kind: "grant", ...fields, deviceName, gatehouseName });
  }

  async #grantLater(granting: Granting): Promise<PairingOutput> {
    try {
      return { bytes: frame(await this.#grant(granting)), isDone: false };
    } catch (error) {
      return this.fail(error);
    }
  }

  #done({ sealed }: State & { kind: "done" }, message: Sealed): undefined {
    const body = sealed.open(message);
    if (body.kind !== "done") throw badMessage(`${body.kind} out of turn`);
    this.#attempt?.acknowledge();
    this.end();
  }

  /** After waiting: the link may have gone meanwhile. */
  #enter(state: State): void {
    if (this.#state.kind === "over") throw new GatehouseError("pairing.closed", "the exchange has ended");
    this.#state = state;
  }
}

/** Only expected errors are told: anything else is ours alone. */
function shown(reason: unknown): GatehouseError {
  if (isGatehouseError(reason)) return reason;
  return new GatehouseError("rpc.internal", "the gatehouse failed to pair", { cause: reason });
}

function frame(message: PairMessage): Uint8Array {
  return framePairMessage(encodePairMessage(message));
}

function refusal({ code, message, hint, retryAfterMs }: GatehouseError): Uint8Array {
  return frame({ kind: "refusal", code, message, hint: hint ?? "", retryAfterMs: retryAfterMs ?? 0 });
}
