import { type Brand, ByteWriter, GatehouseError, hex, utf8 } from "../core/index.ts";
import { LABELS, sha256 } from "../crypto/index.ts";
import { base32, fromBase32 } from "./base32.ts";

/**
 * A device's name for life: 56 lower-case base32 characters (RFC 4648 alphabet, a–z and 2–7).
 *
 * | characters | meaning |
 * | --- | --- |
 * | 52 | SHA-256 of the raw Ed25519 public key; the last 4 of their 260 bits are zero |
 * | 4 | check: the first 20 bits of SHA-256(u32 length ‖ label ‖ u32 length ‖ the 32 bytes above) |
 *
 * The alphabet has neither 0 nor 1, so what people write for o, i and l can be folded back; the check, 20 bits of a
 * hash, lets one mistyped id in a million pass, whatever the mistake.
 */
export type DeviceId = Brand<string, "DeviceId">;

const DIGEST_CHARACTERS = 52;
const CHECK_CHARACTERS = 4;
const ID_CHARACTERS = DIGEST_CHARACTERS + CHECK_CHARACTERS;
const GROUP_CHARACTERS = 8;
/** An id in groups, with generous white space: longer text is not worth cleaning. */
const TEXT_CHARACTERS_MAX = 4 * ID_CHARACTERS;
/** i, l and 1 look alike; a random id has three or four of them. 2^10 readings take two milliseconds to try. */
const AMBIGUOUS_MAX = 10;

/** The id of the device that holds this raw Ed25519 public key. @throws RangeError unless it is 32 bytes. */
export function deviceIdOf(publicKey: Uint8Array): DeviceId {
  return fromDigest(digestOf(publicKey));
}

/** SHA-256 of the raw Ed25519 public key, in hex. @throws RangeError unless it is 32 bytes. */
export function fingerprintOf(publicKey: Uint8Array): string {
  return hex(digestOf(publicKey));
}

/**
 * Reads an id as people write it: in any case, with spaces and dashes, 0 for o, and 1, i and l for one another.
 *
 * @throws identity.bad-device-id for anything else, a wrong check included
 */
export function parseDeviceId(text: string): DeviceId {
  const folded = text.length > TEXT_CHARACTERS_MAX ? "" : foldDeviceId(text);
  if (folded.length !== ID_CHARACTERS) {
    throw badId(`a device id has ${ID_CHARACTERS} letters and digits`);
  }
  const exact = canonical(folded);
  if (exact !== undefined) return exact;
  const [only, ...others] = readings(folded).flatMap((reading) => canonical(reading) ?? []);
  if (only === undefined || others.length > 0)
    throw badId("the device id is mistyped: its check does not match");
  return only;
}

/** True for an id in its canonical text, as files, certificates and messages carry it. */
export function isDeviceId(text: string): text is DeviceId {
  return canonical(text) === text;
}

/** For people: seven groups of eight, the first of which is the short form. */
export function formatDeviceId(id: DeviceId): string {
  return (id.match(new RegExp(`.{${GROUP_CHARACTERS}}`, "g")) ?? []).join("-");
}

/** The first eight characters: to recognise a device, never to trust it. */
export function shortDeviceId(id: DeviceId): string {
  return id.slice(0, GROUP_CHARACTERS);
}

/** Text with case, spaces, dashes and 0 for o taken out; for matching what people type against ids. */
export function foldDeviceId(text: string): string {
  return text.replace(/[\s-]/g, "").toLowerCase().replaceAll("0", "o");
}

function digestOf(publicKey: Uint8Array): Uint8Array {
  if (publicKey.length !== 32)
    throw new RangeError(`device id: public key of ${publicKey.length} bytes, not 32`);
  return sha256(publicKey);
}

function fromDigest(digest: Uint8Array): DeviceId {
  return (base32(digest) + checkOf(digest)) as DeviceId;
}

function checkOf(digest: Uint8Array): string {
  const labelled = new ByteWriter().prefixed(utf8(LABELS.deviceIdCheck)).prefixed(digest).finish();
  return base32(sha256(labelled)).slice(0, CHECK_CHARACTERS);
}

function canonical(text: string): DeviceId | undefined {
  if (text.length !== ID_CHARACTERS) return undefined;
  const digest = fromBase32(text.slice(0, DIGEST_CHARACTERS));
  if (digest === undefined) return undefined;
  const id = fromDigest(digest);
  return id === text ? id : undefined;
}

/** Every way to read the characters that look alike; none when there are too many of them. */
function readings(folded: string): readonly string[] {
  const ambiguous = [...folded.matchAll(/[1il]/g)].map(({ index }) => index);
  if (ambiguous.length > AMBIGUOUS_MAX) return [];
  return Array.from({ length: 1 << ambiguous.length }, (_, choice) => {
    const characters = folded.split("");
    ambiguous.forEach((at, bit) => {
      characters[at] = (choice >> bit) & 1 ? "i" : "l";
    });
    return characters.join("");
  });
}

function badId(message: string): GatehouseError {
  return new GatehouseError("identity.bad-device-id", message, {
    hint: "copy the id from `gatehouse status` or `gatehouse device ls`",
  });
}
