import type { Random } from "../core/index.ts";

/** RFC 4648 §6, lower case. */
const ALPHABET = "abcdefghijklmnopqrstuvwxyz234567";
const ID_BYTES = 16;
const ID_CHARACTERS = 26;

/** 128 random bits; the last character has two bits of zero. */
export function newApprovalId(random: Random): string {
  let rest = random.bytes(ID_BYTES).reduce((number, byte) => (number << 8n) | BigInt(byte), 0n) << 2n;
  let id = "";
  for (let index = 0; index < ID_CHARACTERS; index += 1) {
    id = ALPHABET.charAt(Number(rest & 31n)) + id;
    rest >>= 5n;
  }
  return id;
}

export function isApprovalId(text: string): boolean {
  return /^[a-z2-7]{25}[aeimquy4]$/.test(text);
}
