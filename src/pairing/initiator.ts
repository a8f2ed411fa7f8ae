import {
  type Clock,
  concat,
  equalBytes,
  GatehouseError,
  isErrorCode,
  LIMITS,
  type Random,
  utf8,
} from "../core/index.ts";
import { LABELS, verifyLabelled } from "../crypto/index.ts";
import { type DeviceId, deviceIdOf } from "../identity/index.ts";
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
import { checkGrant, tlsKeyHash } from "./keys.ts";
import {
  badMessage,
  decodePairMessage,
  encodePairMessage,
  type GrantBody,
  type Hello,
  NONCE_BYTES,
  PAIRING_VERSION,
  type PairMessage,
  type Refusal,
  type Sealed,
} from "./messages.ts";
import type { PairingOutput } from "./responder.ts";

/** What the joiner knows of the window. */
export type PairingSecret =
  | { readonly mode: "code"; readonly code: string }
  | { readonly mode: "uri"; readonly secret: Uint8Array; readonly gatehouseId: DeviceId };

export interface PairingInitiatorOptions {
  readonly secret: PairingSecret;
  readonly identity: PairingIdentity;
  /** DER of the certificate that this side showed in the TLS handshake, self-signed with its TLS key. */
  readonly certificate: Uint8Array;
  /** DER of the one that the gatehouse showed. */
  readonly peerCertificate: Uint8Array;
  /** Of the connection that this exchange runs over. */
  readonly binding: ChannelBinding;
  /** PKCS#10 for the same TLS key, signed by the identity; DER. */
  readonly certificateRequest: Uint8Array;
  /** 1 to 64 bytes. */
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  /** Takes the place of the device that has this name, which somebody at the gatehouse has to approve. Default false. */
  readonly replace?: boolean;
  readonly clock: Clock;
  readonly random: Random;
}

/** What to pin. Everything in it has been checked against the others. */
export interface PairingResult {
  readonly gatehouseId: DeviceId;
  readonly gatehouseName: string;
  /** Raw Ed25519 public key of the gatehouse, proven. */
  readonly gatehouseKey: Uint8Array;
  readonly deviceId: string;
  readonly deviceName: string;
  readonly role: string;
  /** DER. */
  readonly certificate: Uint8Array;
  readonly caCertificates: readonly Uint8Array[];
}

export interface InitiatorOutput extends PairingOutput {
  /** Somebody at the gatehouse is asked about this device now; the answer comes within so many milliseconds. */
  readonly pendingMs?: number;
}

type State =
  | { readonly kind: "hello"; readonly nonce: Uint8Array }
  | { readonly kind: "share"; readonly channel: PairingChannel; readonly run: CpaceRun }
  | {
      readonly kind: "confirm";
      readonly channel: PairingChannel;
      readonly key: CpaceKey;
      readonly shares: Shares;
    }
  | {
      readonly kind: "grant";
      readonly channel: PairingChannel;
      readonly sealed: SealedMessages;
      readonly isPending: boolean;
    }
  | { readonly kind: "granted"; readonly sealed: SealedMessages; readonly result: PairingResult }
  | { readonly kind: "over" };

interface Shares {
  readonly joiner: Uint8Array;
  readonly gatehouse: Uint8Array;
}

/**
 * The joiner's side of one pairing connection: bytes in, bytes out; no sockets.
 * `start`, then `receive` until there is a `result`; store it, then send `acknowledge`.
 */
export class PairingInitiator {
  readonly #options: PairingInitiatorOptions;
  readonly #decoder = new PairMessageDecoder();
  #state: State;
  #hasShownTag = false;
  #isPeerProven = false;
  #pendingMs: number | undefined;

  constructor(options: PairingInitiatorOptions) {
    this.#options = options;
    this.#state = { kind: "hello", nonce: options.random.bytes(NONCE_BYTES) };
  }

  /** The first bytes to send. */
  start(): Uint8Array {
    if (this.#state.kind !== "hello")
      throw new TypeError("PairingInitiator: started after its first message");
    return this.#frame(this.#ownHello(this.#state.nonce));
  }

  /** There once the grant has been received and checked. */
  get result(): PairingResult | undefined {
    return this.#state.kind === "granted" ? this.#state.result : undefined;
  }

  /**
   * True when our tag went out and no right one came back: whoever is there may have tested a guess at the code.
   * The same code must not be used again then; while this is false, trying again costs nothing.
   */
  get isCodeSpent(): boolean {
    return this.#hasShownTag && !this.#isPeerProven;
  }

  /** Never throws. After `isDone` or a `result` it takes no more. */
  receive(bytes: Uint8Array): InitiatorOutput {
    const answers: Uint8Array[] = [];
    this.#pendingMs = undefined;
    try {
      for (const message of this.#decoder.push(bytes)) {
        const answer = this.#step(decodePairMessage(message));
        if (answer !== undefined) answers.push(this.#frame(answer));
      }
    } catch (error) {
      this.#state = { kind: "over" };
      const failure = error instanceof GatehouseError ? error : badMessage("it made this side fail", error);
      return { bytes: new Uint8Array(0), isDone: true, failure };
    }
    const output = { bytes: concat(...answers), isDone: false };
    return this.#pendingMs === undefined ? output : { ...output, pendingMs: this.#pendingMs };
  }

  /** Tells the gatehouse that the grant is stored: the last bytes to send. */
  acknowledge(): Uint8Array {
    if (this.#state.kind !== "granted")
      throw new TypeError("PairingInitiator: acknowledged without a result");
    const bytes = this.#frame(this.#state.sealed.seal({ kind: "done" }));
    this.#state = { kind: "over" };
    return bytes;
  }

  #step(message: PairMessage): PairMessage | undefined {
    const state = this.#state;
    if (message.kind === "refusal" && state.kind !== "granted") throw refused(message);
    if (state.kind === "hello" && message.kind === "hello") return this.#hello(state, message);
    if (state.kind === "share" && message.kind === "share") return this.#share(state, message.element);
    if (state.kind === "confirm" && message.kind === "confirm") return this.#confirm(state, message);
    if (state.kind === "grant" && message.kind === "sealed") return this.#grant(state, message);
    throw badMessage(`${message.kind} out of turn`);
  }

  #ownHello(nonce: Uint8Array): Hello {
    const { secret, identity } = this.#options;
    return {
      kind: "hello",
      version: PAIRING_VERSION,
      mode: secret.mode,
      nonce,
      identityKey: identity.publicKey,
    };
  }

  #hello({ nonce }: State & { kind: "hello" }, hello: Hello): PairMessage {
    const { secret, identity, random, certificate, peerCertificate, binding } = this.#options;
    if (hello.version !== PAIRING_VERSION) throw badMessage(`version ${hello.version}`);
    if (hello.mode !== secret.mode) throw badMessage("another mode than ours");
    if (equalBytes(hello.identityKey, identity.publicKey)) throw badMessage("our own identity");
    this.#checkGatehouse(hello.identityKey);
    const channel: PairingChannel = {
      ...{ mode: secret.mode, binding },
      joiner: { identityKey: identity.publicKey, tlsKeyHash: tlsKeyHash(certificate), nonce },
      gatehouse: { ...hello, tlsKeyHash: tlsKeyHash(peerCertificate) },
    };
    const run = startCpace({
      role: "initiator",
      secret: secret.mode === "code" ? utf8(secret.code) : secret.secret,
      channel: channelIdentifier(channel),
      session: sessionIdentifier(channel),
      associatedData: ASSOCIATED_DATA.joiner,
      random,
    });
    this.#state = { kind: "share", channel, run };
    return { kind: "share", element: run.share };
  }

  #share({ channel, run }: State & { kind: "share" }, element: Uint8Array): PairMessage {
    const key = run.finish({ share: element, associatedData: ASSOCIATED_DATA.gatehouse });
    if (key === undefined) throw badMessage("not a usable share");
    const shares = { joiner: run.share, gatehouse: element };
    this.#state = { kind: "confirm", channel, key, shares };
    this.#hasShownTag = true;
    const signature = this.#options.identity.sign(
      LABELS.pairingConfirmation,
      identityStatement("joiner", channel, shares),
    );
    return { kind: "confirm", tag: key.tag, signature };
  }

  #confirm(
    { channel, key, shares }: State & { kind: "confirm" },
    { tag, signature }: PairMessage & { kind: "confirm" },
  ): PairMessage {
    if (!key.isPeerTag(tag)) {
      throw new GatehouseError("pairing.wrong-code", "the other side does not know the code", {
        hint: "somebody may stand between you and the gatehouse: use a new code, on a network you trust",
      });
    }
    const statement = identityStatement("gatehouse", channel, shares);
    if (!verifyLabelled(channel.gatehouse.identityKey, LABELS.pairingConfirmation, statement, signature)) {
      throw badMessage("not signed by its identity key");
    }
    this.#isPeerProven = true;
    const sealed = new SealedMessages("joiner", key, channel);
    this.#state = { kind: "grant", channel, sealed, isPending: false };
    const { certificateRequest, name, kind: deviceKind, platform, replace = false } = this.#options;
    return sealed.seal({ kind: "request", certificateRequest, name, deviceKind, platform, replace });
  }

  #grant({ channel, sealed, isPending }: State & { kind: "grant" }, message: Sealed): undefined {
    const body = sealed.open(message);
    if (body.kind === "pending" && !isPending) {
      this.#state = { kind: "grant", channel, sealed, isPending: true };
      this.#pendingMs = Math.min(body.timeoutMs, LIMITS.pairingApprovalMs);
      return;
    }
    if (body.kind !== "grant") throw badMessage(`${body.kind} out of turn`);
    checkGrant(body, channel, this.#options.clock.now());
    this.#state = { kind: "granted", sealed, result: resultOf(body, channel) };
  }

  #checkGatehouse(identityKey: Uint8Array): void {
    const { secret } = this.#options;
    if (secret.mode === "code" || secret.gatehouseId === deviceIdOf(identityKey)) return;
    throw new GatehouseError("pairing.wrong-gatehouse", "another gatehouse answers at this address", {
      hint: "check the address, or take a new URI from `gatehouse pair open`",
    });
  }

  #frame(message: PairMessage): Uint8Array {
    return framePairMessage(encodePairMessage(message));
  }
}

function resultOf(grant: GrantBody, { gatehouse }: PairingChannel): PairingResult {
  const { gatehouseName, deviceId, deviceName, role, certificate, caCertificates } = grant;
  return {
    gatehouseId: deviceIdOf(gatehouse.identityKey),
    gatehouseName,
    gatehouseKey: gatehouse.identityKey,
    deviceId,
    deviceName,
    role,
    certificate,
    caCertificates,
  };
}

function refused({ code, message, hint, retryAfterMs }: Refusal): GatehouseError {
  return new GatehouseError(isErrorCode(code) ? code : "rpc.unknown-error", message, { hint, retryAfterMs });
}
