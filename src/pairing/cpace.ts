import { concat, type Random, utf8 } from "../core/index.ts";
import { equalSecrets, hmacSha512, ristretto255, sha512 } from "../crypto/index.ts";

/**
 * CPace, a balanced password-authenticated key exchange: CPACE-RISTR255-SHA512 of draft-irtf-cfrg-cpace, in its
 * initiator–responder form with key confirmation. Whoever does not know the secret learns one thing from a whole
 * run: whether the single guess it committed to was right, and that only from the other side's tag.
 *
 * | string | bytes |
 * | --- | --- |
 * | lv(x) | LEB128 length of x ‖ x |
 * | generator string | lv("CPaceRistretto255") ‖ lv(secret) ‖ lv(zeros up to SHA-512's block) ‖ lv(channel) ‖ lv(session) |
 * | generator g | element derivation (RFC 9496 §4.3.4) of SHA-512(generator string) |
 * | share Y | y·g, 32 bytes |
 * | ISK | SHA-512(lv("CPaceRistretto255_ISK") ‖ lv(session) ‖ lv(K) ‖ lv(Ya) ‖ lv(ADa) ‖ lv(Yb) ‖ lv(ADb)) |
 * | tag | HMAC-SHA-512(SHA-512("CPaceMac" ‖ session ‖ ISK), lv(own Y) ‖ lv(own AD)) |
 */

const DSI = utf8("CPaceRistretto255");
const DSI_ISK = utf8("CPaceRistretto255_ISK");
const MAC_PREFIX = utf8("CPaceMac");
const HASH_BLOCK_BYTES = 128;

export const CPACE_SHARE_BYTES = 32;
export const CPACE_TAG_BYTES = 64;

export type CpaceRole = "initiator" | "responder";

export interface CpaceInput {
  readonly role: CpaceRole;
  /** The low-entropy secret both sides know (PRS). Borrowed during the call. */
  readonly secret: Uint8Array;
  /** Channel identifier (CI): who is talking, over what. Both sides must see the same. */
  readonly channel: Uint8Array;
  /** Session identifier (sid), unique to this run. */
  readonly session: Uint8Array;
  /** Sent along in the clear and authenticated. The two sides' must differ, or a tag could be sent back. */
  readonly associatedData: Uint8Array;
  readonly random: Random;
}

/** One side, after it has made its share. */
export interface CpaceRun {
  readonly share: Uint8Array;
  /**
   * Ends the run; the secret scalar is wiped. `undefined` when the peer's share is not an element, is the
   * identity, or is our own sent back.
   */
  finish(peer: { readonly share: Uint8Array; readonly associatedData: Uint8Array }): CpaceKey | undefined;
}

/** What both sides share if, and only if, all their inputs were equal. */
export interface CpaceKey {
  /** 64 bytes; feed it to a KDF. */
  readonly isk: Uint8Array;
  /** Our confirmation, 64 bytes. */
  readonly tag: Uint8Array;
  /** Compares in constant time. */
  isPeerTag(tag: Uint8Array): boolean;
}

export function startCpace(input: CpaceInput): CpaceRun {
  const scalar = ristretto255.randomScalar(input.random);
  const share = ristretto255.multiply(cpaceGenerator(input), scalar);
  // A generator is the identity with probability 2^-252, a scalar of zero is never drawn.
  if (share === undefined) throw new RangeError("cpace: no share from this generator");
  return { share, finish: (peer) => finishCpace(input, { scalar, share }, peer) };
}

/** The encoded generator that `secret`, `channel` and `session` lead to. */
export function cpaceGenerator(input: Pick<CpaceInput, "secret" | "channel" | "session">): Uint8Array {
  return ristretto255.hashToPoint(sha512(generatorString(input)));
}

export function generatorString({
  secret,
  channel,
  session,
}: Pick<CpaceInput, "secret" | "channel" | "session">): Uint8Array {
  const padding = Math.max(0, HASH_BLOCK_BYTES - 1 - lvCat(secret).length - lvCat(DSI).length);
  return lvCat(DSI, secret, new Uint8Array(padding), channel, session);
}

/** Each string with its length in LEB128 before it. */
export function lvCat(...strings: readonly Uint8Array[]): Uint8Array {
  return concat(...strings.flatMap((bytes) => [leb128(bytes.length), bytes]));
}

interface Own {
  readonly scalar: Uint8Array;
  readonly share: Uint8Array;
}

interface Peer {
  readonly share: Uint8Array;
  readonly associatedData: Uint8Array;
}

function finishCpace(input: CpaceInput, own: Own, peer: Peer): CpaceKey | undefined {
  const shared = ristretto255.multiply(peer.share, own.scalar);
  own.scalar.fill(0);
  if (shared === undefined || equalSecrets(peer.share, own.share)) return undefined;
  const ours = lvCat(own.share, input.associatedData);
  const theirs = lvCat(peer.share, peer.associatedData);
  const transcript = input.role === "initiator" ? concat(ours, theirs) : concat(theirs, ours);
  const isk = sha512(lvCat(DSI_ISK, input.session, shared), transcript);
  shared.fill(0);
  const macKey = sha512(MAC_PREFIX, input.session, isk);
  const expected = hmacSha512(macKey, theirs);
  return {
    isk,
    tag: hmacSha512(macKey, ours),
    isPeerTag: (tag) => equalSecrets(tag, expected),
  };
}

function leb128(length: number): Uint8Array {
  const bytes: number[] = [];
  let rest = length;
  do {
    bytes.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return Uint8Array.from(bytes);
}
