import { GatehouseError } from "../core/index.ts";
import { type DeviceId, isDeviceId } from "../identity/index.ts";
import { URI_SECRET_BYTES } from "./window.ts";

/**
 * What a QR code and `pair open` show:
 *
 *     gatehouse://HOST:PORT/GATEHOUSE-ID#SECRET
 *
 * HOST is a name, an IPv4 address or an IPv6 address in brackets; GATEHOUSE-ID the canonical 56 characters; SECRET
 * 16 bytes in base64url without padding (22 characters). The secret stands in the fragment, the one part of a URI
 * that no software sends along by itself. There is one spelling of each URI only.
 */
export interface PairingUri {
  /** `HOST:PORT`. */
  readonly address: string;
  readonly gatehouseId: DeviceId;
  /** 16 bytes. */
  readonly secret: Uint8Array;
}

const SCHEME = "gatehouse://";
const URI_CHARACTERS_MAX = 512;
const SHAPE = /^gatehouse:\/\/([^/#?\s]+)\/([a-z2-7]{56})#([A-Za-z0-9_-]{22})$/;
const ADDRESS = /^(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([1-9][0-9]{0,4})$/;

/** True for text that means to be a pairing URI rather than an address. */
export function isPairingUri(text: string): boolean {
  return text.toLowerCase().startsWith(SCHEME);
}

/** @throws GatehouseError `pairing.bad-uri` when the address is not `HOST:PORT`. */
export function formatPairingUri({ address, gatehouseId, secret }: PairingUri): string {
  if (secret.length !== URI_SECRET_BYTES)
    throw new RangeError(`pairing URI: secret of ${secret.length} bytes`);
  if (!isAddress(address)) throw badUri("its address is not HOST:PORT");
  return `${SCHEME}${address}/${gatehouseId}#${Buffer.from(secret).toString("base64url")}`;
}

/** @throws GatehouseError `pairing.bad-uri`. */
export function parsePairingUri(text: string): PairingUri {
  const [, address = "", gatehouseId = "", secretText = ""] =
    text.length <= URI_CHARACTERS_MAX ? (SHAPE.exec(text) ?? []) : [];
  if (address === "") throw badUri("it does not look like gatehouse://HOST:PORT/ID#SECRET");
  if (!isAddress(address)) throw badUri("its address is not HOST:PORT");
  if (!isDeviceId(gatehouseId)) throw badUri("the gatehouse's id in it is mistyped");
  const secret = new Uint8Array(Buffer.from(secretText, "base64url"));
  // The last character carries two bits only: the others must be zero, or one secret had several spellings.
  if (Buffer.from(secret).toString("base64url") !== secretText) throw badUri("its secret is mistyped");
  return { address, gatehouseId, secret };
}

function isAddress(address: string): boolean {
  const port = ADDRESS.exec(address)?.[3];
  return port !== undefined && Number(port) <= 65_535;
}

function badUri(what: string): GatehouseError {
  return new GatehouseError("pairing.bad-uri", `not a pairing URI: ${what}`, {
    hint: "copy the whole URI that `gatehouse pair open` shows, in quotes",
  });
}
