/** RFC 4648 §6, lower case, without padding. */

const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";

/** Bits left over at the end are zero. */
export function base32(bytes: Uint8Array): string {
  let text = "";
  let held = 0;
  let heldBits = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    heldBits += 8;
    while (heldBits >= 5) {
      heldBits -= 5;
      text += ALPHABET.charAt((held >> heldBits) & 31);
    }
    held &= (1 << heldBits) - 1;
  }
  return heldBits === 0 ? text : text + ALPHABET.charAt((held << (5 - heldBits)) & 31);
}

/** `undefined` for a character outside the alphabet, a length that no bytes have, or left-over bits that are not zero. */
export function fromBase32(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 5) / 8));
  let held = 0;
  let heldBits = 0;
  let count = 0;
  for (const character of text) {
    const value = ALPHABET.indexOf(character);
    if (value === -1) return undefined;
    held = (held << 5) | value;
    heldBits += 5;
    if (heldBits < 8) continue;
    heldBits -= 8;
    bytes[count] = held >> heldBits;
    count += 1;
    held &= (1 << heldBits) - 1;
  }
  return heldBits >= 5 || held !== 0 ? undefined : bytes;
}
