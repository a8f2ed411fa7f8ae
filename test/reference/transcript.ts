/** What one exchange is bound to, what both sides sign, and what their sealed bodies are tagged with. */
import { concat, equal, hkdfSha512, hmacSha512, lv, p32, utf8 } from "./bytes.ts";
import { macKey, sessionKey, tagOf } from "./cpace.ts";
import { type Arrived, body, type Mode, message, parseBody } from "./messages.ts";
import { badMessage } from "./refused.ts";

export const CONFIRMATION = "gatehouse/v1/pairing/confirmation";
const SESSION = "gatehouse/v1/pairing/session";

export type Role = "joiner" | "gatehouse";

export interface Party {
  readonly identityKey: Uint8Array;
  /** SHA-256 of its SubjectPublicKeyInfo on this connection. */
  readonly tlsKeyHash: Uint8Array;
  readonly nonce: Uint8Array;
}

export interface Parties {
  readonly mode: Mode;
  readonly joiner: Party;
  readonly gatehouse: Party;
  /** What TLS exports of this connection, over TCP. */
  readonly exporter?: Uint8Array | undefined;
}

export type Shares = Readonly<Record<Role, Uint8Array>>;

export function channelIdentifier({ mode, joiner, gatehouse, exporter }: Parties): Uint8Array {
  return concat(
    p32(utf8("gatehouse/v1/pairing/channel"), utf8("gatehouse-pair/1"), Uint8Array.of(1), utf8(mode)),
    p32(utf8("joiner"), joiner.identityKey, joiner.tlsKeyHash),
    p32(utf8("gatehouse"), gatehouse.identityKey, gatehouse.tlsKeyHash),
    exporter === undefined ? new Uint8Array(0) : p32(utf8("tls-exporter"), exporter),
  );
}

export const sessionIdentifier = ({ joiner, gatehouse }: Parties): Uint8Array =>
  concat(joiner.nonce, gatehouse.nonce);

export function statement(signer: Role, parties: Parties, shares: Shares): Uint8Array {
  const [channel, session] = [channelIdentifier(parties), sessionIdentifier(parties)];
  return p32(utf8(signer), channel, session, shares.joiner, shares.gatehouse);
}

/** Everything that follows from K. */
export interface Keys {
  readonly isk: Uint8Array;
  readonly macKey: Uint8Array;
  readonly tags: Shares;
  readonly sealKeys: Shares;
}

export function keysOf(parties: Parties, shares: Shares, point: Uint8Array): Keys {
  const session = sessionIdentifier(parties);
  const a = { share: shares.joiner, associatedData: utf8("joiner") };
  const b = { share: shares.gatehouse, associatedData: utf8("gatehouse") };
  const isk = sessionKey(session, point, a, b);
  const key = macKey(session, isk);
  const sealKey = (sender: Role): Uint8Array => hkdfSha512(isk, session, utf8(`${SESSION}/${sender}`));
  return {
    isk,
    macKey: key,
    tags: { joiner: tagOf(key, a), gatehouse: tagOf(key, b) },
    sealKeys: { joiner: sealKey("joiner"), gatehouse: sealKey("gatehouse") },
  };
}

export const sealTag = (key: Uint8Array, number: number, content: Uint8Array): Uint8Array =>
  hmacSha512(key, lv(Uint8Array.of(number), content));

/** One side's sealed messages, each way under its own key and its own numbers. */
export class Seals {
  readonly #send: Uint8Array;
  readonly #receive: Uint8Array;
  #sent = 0;
  #received = 0;

  constructor(own: Role, { sealKeys }: Keys) {
    this.#send = sealKeys[own];
    this.#receive = sealKeys[own === "joiner" ? "gatehouse" : "joiner"];
  }

  seal(name: string, values: object): Uint8Array {
    const content = body(name, values);
    const tag = sealTag(this.#send, this.#sent, content);
    this.#sent += 1;
    return message("sealed", { body: content, tag });
  }

  open(arrived: Arrived): Arrived {
    if (arrived.name !== "sealed") throw badMessage(`${arrived.name} where sealed was due`);
    const content = arrived.fields.upTo("body", 16_384);
    const tag = arrived.fields.exactly("tag", 64);
    if (!equal(tag, sealTag(this.#receive, this.#received, content))) throw badMessage("a wrong seal");
    this.#received += 1;
    return parseBody(content);
  }
}
