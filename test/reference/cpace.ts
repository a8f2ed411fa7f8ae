/** CPACE-RISTR255-SHA512 as docs/pairing.md lays it down; roles are the joiner's and the gatehouse's. */
import { concat, equal, hmacSha512, lv, sha512, utf8 } from "./bytes.ts";
import { decode, derive, encode, isIdentity, multiply } from "./ristretto255.ts";

const HASH_BLOCK = 128;
const NAME = utf8("CPaceRistretto255");
const NAME_OF_KEY = utf8("CPaceRistretto255_ISK");

export interface Session {
  readonly secret: Uint8Array;
  readonly channel: Uint8Array;
  readonly session: Uint8Array;
}

export interface Side {
  readonly share: Uint8Array;
  readonly associatedData: Uint8Array;
}

export function generatorString({ secret, channel, session }: Session): Uint8Array {
  const zeros = Math.max(0, HASH_BLOCK - 1 - lv(secret).length - lv(NAME).length);
  return lv(NAME, secret, new Uint8Array(zeros), channel, session);
}

export const generator = (input: Session): Uint8Array => encode(derive(sha512(generatorString(input))));

export const shareOf = (input: Session, scalar: Uint8Array): Uint8Array =>
  encode(multiply(derive(sha512(generatorString(input))), scalar));

/** K; `undefined` where an exchange must end. */
export function sharedPoint(own: Uint8Array, scalar: Uint8Array, theirs: Uint8Array): Uint8Array | undefined {
  const element = decode(theirs);
  if (element === undefined || isIdentity(element) || equal(own, theirs)) return undefined;
  const product = multiply(element, scalar);
  return isIdentity(product) ? undefined : encode(product);
}

/** ISK: `a` is the joiner's side, `b` the gatehouse's. */
export function sessionKey(session: Uint8Array, point: Uint8Array, a: Side, b: Side): Uint8Array {
  const transcript = lv(a.share, a.associatedData, b.share, b.associatedData);
  return sha512(concat(lv(NAME_OF_KEY, session, point), transcript));
}

export const macKey = (session: Uint8Array, isk: Uint8Array): Uint8Array =>
  sha512(concat(utf8("CPaceMac"), session, isk));

export const tagOf = (key: Uint8Array, { share, associatedData }: Side): Uint8Array =>
  hmacSha512(key, lv(share, associatedData));
