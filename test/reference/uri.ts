/** The URI of docs/pairing.md. */
import { fromHex, hex } from "./bytes.ts";
import { checkOf } from "./identity.ts";
import { Refused } from "./refused.ts";

export interface PairingUri {
  readonly address: string;
  readonly gatehouseId: string;
  readonly secret: Uint8Array;
}

const ID_WITHOUT_CHECK = 52;

export function parseUri(text: string): PairingUri {
  const whole = /^gatehouse:\/\/(.+):([1-9][0-9]{0,4})\/([a-z2-7]{56})#([A-Za-z0-9_-]{22})$/.exec(text);
  if (whole === null || text.length > 512) throw bad();
  const [, host = "", port = "", gatehouseId = "", secretText = ""] = whole;
  const isHost = /^(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})$/.test(host);
  const secret = fromHex(hex(Buffer.from(secretText, "base64url")));
  const isWhole = Buffer.from(secret).toString("base64url") === secretText;
  if (!isHost || Number(port) > 65_535 || !isId(gatehouseId) || !isWhole) throw bad();
  return { address: `${host}:${port}`, gatehouseId, secret };
}

function isId(text: string): boolean {
  const digest = text.slice(0, ID_WITHOUT_CHECK);
  const bits = Array.from(digest)
    .map((character) => "abcdefghijklmnopqrstuvwxyz234567".indexOf(character).toString(2).padStart(5, "0"))
    .join("");
  const bytes = Uint8Array.from({ length: 32 }, (_, index) =>
    Number.parseInt(bits.slice(8 * index, 8 * index + 8), 2),
  );
  return bits.endsWith("0000") && checkOf(bytes) === text.slice(ID_WITHOUT_CHECK);
}

const bad = (): Refused => new Refused("pairing.bad-uri", "not a pairing URI");
