/** The gatehouse of docs/pairing.md, for one joiner: no window, no limits, no clock. */
import { concat, equal, sha256 } from "./bytes.ts";
import { spkiOf } from "./certificates.ts";
import { sharedPoint, shareOf } from "./cpace.ts";
import { type Identity, isSigned } from "./identity.ts";
import {
  type Arrived,
  expect,
  type Grant,
  type Mode,
  message,
  type Request,
  readConfirm,
  readHello,
  readRequest,
  Unframer,
} from "./messages.ts";
import { badMessage, Refused } from "./refused.ts";
import { checkRequest } from "./request.ts";
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

export interface GatehouseInput {
  /** For each mode that the window knows. */
  readonly secrets: Readonly<Partial<Record<Mode, Uint8Array>>>;
  readonly identity: Pick<Identity, "publicKey" | "sign">;
  /** Both sides' as shown in TLS. */
  readonly certificate: Uint8Array;
  readonly peerCertificate: Uint8Array;
  /** Over TCP. */
  readonly exporter?: Uint8Array | undefined;
  /** The grant for a proven joiner and the key to certify. */
  readonly enroll: (request: Request, joinerKey: Uint8Array, spki: Uint8Array) => Grant;
  /** Somebody is asked first. */
  readonly pendingMs?: number;
  readonly nonce: Uint8Array;
  readonly scalar: Uint8Array;
}

type Step = (arrived: Arrived) => Uint8Array;

export class TwinGatehouse {
  readonly #input: GatehouseInput;
  readonly #unframer = new Unframer();
  #due: Step = (arrived) => this.#hello(arrived);
  request: Request | undefined;
  isDone = false;

  constructor(input: GatehouseInput) {
    this.#input = input;
  }

  /** What to send. @throws Refused when the exchange must end. */
  receive(bytes: Uint8Array): Uint8Array {
    return concat(...this.#unframer.push(bytes).map((arrived) => this.#due(arrived)));
  }

  #hello(arrived: Arrived): Uint8Array {
    const { secrets, identity, nonce, scalar, certificate, peerCertificate, exporter } = this.#input;
    const theirs = readHello(arrived);
    const secret = secrets[theirs.mode];
    if (secret === undefined) throw new Refused("pairing.closed", "not by this mode");
    const parties: Parties = {
      exporter,
      mode: theirs.mode,
      joiner: { ...theirs, tlsKeyHash: sha256(spkiOf(peerCertificate)) },
      gatehouse: { identityKey: identity.publicKey, tlsKeyHash: sha256(spkiOf(certificate)), nonce },
    };
    const [channel, session] = [channelIdentifier(parties), sessionIdentifier(parties)];
    const own = shareOf({ secret, channel, session }, scalar);
    this.#due = (next) => this.#share(next, parties, own);
    return message("hello", { version: 1, mode: theirs.mode, nonce, identityKey: identity.publicKey });
  }

  #share(arrived: Arrived, parties: Parties, own: Uint8Array): Uint8Array {
    const theirs = expect(arrived, "share").exactly("element", 32);
    const point = sharedPoint(own, this.#input.scalar, theirs);
    if (point === undefined) throw badMessage("not a usable share");
    const shares: Shares = { joiner: theirs, gatehouse: own };
    const keys = keysOf(parties, shares, point);
    this.#due = (next) => this.#confirm(next, parties, shares, keys);
    return message("share", { element: own });
  }

  #confirm(arrived: Arrived, parties: Parties, shares: Shares, keys: Keys): Uint8Array {
    const { tag, signature } = readConfirm(arrived);
    if (!equal(tag, keys.tags.joiner)) throw new Refused("pairing.wrong-code", "a wrong tag");
    if (
      !isSigned(parties.joiner.identityKey, CONFIRMATION, statement("joiner", parties, shares), signature)
    ) {
      throw badMessage("not signed by its identity key");
    }
    const seals = new Seals("gatehouse", keys);
    this.#due = (next) => this.#request(seals.open(next), parties, seals);
    const own = this.#input.identity.sign(CONFIRMATION, statement("gatehouse", parties, shares));
    return message("confirm", { tag: keys.tags.gatehouse, signature: own });
  }

  #request(body: Arrived, { joiner }: Parties, seals: Seals): Uint8Array {
    const { pendingMs, enroll } = this.#input;
    const request = readRequest(body);
    const spki = checkRequest(request.certificateRequest, joiner.identityKey, joiner.tlsKeyHash);
    this.request = request;
    const pending =
      pendingMs === undefined ? new Uint8Array(0) : seals.seal("pending", { timeoutMs: pendingMs });
    const grant = seals.seal("grant", enroll(request, joiner.identityKey, spki));
    this.#due = (next) => this.#done(seals.open(next));
    return concat(pending, grant);
  }

  #done(body: Arrived): Uint8Array {
    expect(body, "done");
    this.isDone = true;
    this.#due = () => {
      throw badMessage("something after done");
    };
    return new Uint8Array(0);
  }
}
