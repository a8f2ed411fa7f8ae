/** The joiner of docs/pairing.md. */
import { concat, equal, sha256 } from "./bytes.ts";
import { checkGrant, spkiOf } from "./certificates.ts";
import { sharedPoint, shareOf } from "./cpace.ts";
import { deviceId, type Identity, isSigned } from "./identity.ts";
import {
  type Arrived,
  expect,
  type Grant,
  type Mode,
  message,
  type Request,
  readConfirm,
  readGrant,
  readHello,
  readRefusal,
  Unframer,
} from "./messages.ts";
import { badMessage, Refused } from "./refused.ts";
import {
  CONFIRMATION,
  channelIdentifier,
  type Keys,
  keysOf,
  type Parties,
  Seals,
  type Shares,
  sessionIdentifier,
  statement,
} from "./transcript.ts";

export interface JoinerInput {
  readonly mode: Mode;
  /** The code's digits or the URI's bytes. */
  readonly secret: Uint8Array;
  /** From the URI, if there is one. */
  readonly gatehouseId: string | undefined;
  readonly identity: Pick<Identity, "publicKey" | "sign">;
  /** Both sides' as shown in TLS. */
  readonly certificate: Uint8Array;
  readonly peerCertificate: Uint8Array;
  /** Over TCP. */
  readonly exporter?: Uint8Array | undefined;
  readonly request: Request;
  readonly now: number;
  readonly nonce: Uint8Array;
  readonly scalar: Uint8Array;
}

type Step = (arrived: Arrived) => Uint8Array;

export class TwinJoiner {
  readonly #input: JoinerInput;
  readonly #unframer = new Unframer();
  #due: Step = (arrived) => this.#hello(arrived);
  #seals: Seals | undefined;
  #hasShownTag = false;
  #isPeerProven = false;
  /** Milliseconds that somebody may take to approve. */
  pendingMs: number | undefined;
  grant: Grant | undefined;
  gatehouseKey: Uint8Array | undefined;

  constructor(input: JoinerInput) {
    this.#input = input;
  }

  /** A code that is spent must not be used again. */
  get isCodeSpent(): boolean {
    return this.#input.mode === "code" && this.#hasShownTag && !this.#isPeerProven;
  }

  start(): Uint8Array {
    const { mode, nonce, identity } = this.#input;
    return message("hello", { version: 1, mode, nonce, identityKey: identity.publicKey });
  }

  /** What to send. @throws Refused when the exchange must end. */
  receive(bytes: Uint8Array): Uint8Array {
    const answers = this.#unframer.push(bytes).map((arrived) => {
      if (arrived.name === "refusal") throw new Refused(readRefusal(arrived), "so the gatehouse");
      return this.#due(arrived);
    });
    return concat(...answers);
  }

  done(): Uint8Array {
    if (this.#seals === undefined || this.grant === undefined) throw new TypeError("done without a grant");
    return this.#seals.seal("done", {});
  }

  #hello(arrived: Arrived): Uint8Array {
    const { mode, secret, gatehouseId, identity, nonce, scalar, certificate, peerCertificate, exporter } =
      this.#input;
    const theirs = readHello(arrived);
    if (theirs.mode !== mode) throw badMessage("another mode");
    if (equal(theirs.identityKey, identity.publicKey)) throw badMessage("our own identity");
    if (gatehouseId !== undefined && deviceId(theirs.identityKey) !== gatehouseId) {
      throw new Refused("pairing.wrong-gatehouse", "not the one that the URI names");
    }
    const parties: Parties = {
      exporter,
      mode,
      joiner: { identityKey: identity.publicKey, tlsKeyHash: sha256(spkiOf(certificate)), nonce },
      gatehouse: { ...theirs, tlsKeyHash: sha256(spkiOf(peerCertificate)) },
    };
    const [channel, session] = [channelIdentifier(parties), sessionIdentifier(parties)];
    const own = shareOf({ secret, channel, session }, scalar);
    this.#due = (next) => this.#share(next, parties, own);
    return message("share", { element: own });
  }

  #share(arrived: Arrived, parties: Parties, own: Uint8Array): Uint8Array {
    const { identity, scalar } = this.#input;
    const theirs = expect(arrived, "share").exactly("element", 32);
    const point = sharedPoint(own, scalar, theirs);
    if (point === undefined) throw badMessage("not a usable share");
    const shares: Shares = { joiner: own, gatehouse: theirs };
    const keys = keysOf(parties, shares, point);
    this.#due = (next) => this.#confirm(next, parties, shares, keys);
    this.#hasShownTag = true;
    const signature = identity.sign(CONFIRMATION, statement("joiner", parties, shares));
    return message("confirm", { tag: keys.tags.joiner, signature });
  }

  #confirm(arrived: Arrived, parties: Parties, shares: Shares, keys: Keys): Uint8Array {
    const { tag, signature } = readConfirm(arrived);
    if (!equal(tag, keys.tags.gatehouse)) throw new Refused("pairing.wrong-code", "a wrong tag");
    const { identityKey } = parties.gatehouse;
    if (!isSigned(identityKey, CONFIRMATION, statement("gatehouse", parties, shares), signature)) {
      throw badMessage("not signed by its identity key");
    }
    this.#isPeerProven = true;
    const seals = new Seals("joiner", keys);
    this.#seals = seals;
    this.#due = (next) => this.#granted(seals.open(next), parties);
    return seals.seal("request", this.#input.request);
  }

  #granted(body: Arrived, parties: Parties): Uint8Array {
    if (body.name === "pending" && this.pendingMs === undefined) {
      this.pendingMs = body.fields.number("timeoutMs");
      return new Uint8Array(0);
    }
    const grant = readGrant(body);
    const { joiner, gatehouse } = parties;
    checkGrant(grant, {
      gatehouseKey: gatehouse.identityKey,
      joinerKey: joiner.identityKey,
      joinerTlsKeyHash: joiner.tlsKeyHash,
      now: this.#input.now,
    });
    this.grant = grant;
    this.gatehouseKey = gatehouse.identityKey;
    this.#due = () => {
      throw badMessage("something after the grant");
    };
    return new Uint8Array(0);
  }
}
