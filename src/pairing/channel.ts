import { ByteWriter, concat, utf8 } from "../core/index.ts";
import { equalSecrets, hkdfSha512, hmacSha512, LABELS, type Label } from "../crypto/index.ts";
import { type CpaceKey, lvCat } from "./cpace.ts";
import {
  badMessage,
  decodePairBody,
  encodePairBody,
  PAIRING_VERSION,
  type PairBody,
  type PairingMode,
  type Sealed,
} from "./messages.ts";

/**
 * What one exchange is bound to.
 *
 * Channel identifier (each field with a four-byte length before it): label `gatehouse/v1/pairing/channel`, ALPN,
 * protocol version (one byte), mode, "joiner", the joiner's identity key, SHA-256 of its TLS key's
 * SubjectPublicKeyInfo, "gatehouse", the gatehouse's identity key, SHA-256 of its TLS key's SubjectPublicKeyInfo.
 * Whoever stands in the middle and ends TLS with a key of its own makes the two sides' identifiers differ.
 *
 * Over TCP two more follow: "tls-exporter" and what that gives (RFC 9266), 32 bytes, so that the very connection is agreed on
 * and not only its keys. The QUIC library has no exporter.
 *
 * Session identifier: the joiner's nonce(32) ‖ the gatehouse's nonce(32).
 */

export const PAIRING_ALPN = "gatehouse-pair/1";

export type PairingRole = "joiner" | "gatehouse";

export interface PairingParty {
  /** Raw Ed25519 public key, 32 bytes. */
  readonly identityKey: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo that this side of the TLS connection has proven to hold. */
  readonly tlsKeyHash: Uint8Array;
  /** From this exchange's hello, 32 bytes. */
  readonly nonce: Uint8Array;
}

/** The TLS connection that an exchange runs over, as far as its library can name it. */
export type ChannelBinding =
  | { readonly kind: "none" }
  /** RFC 9266 §2. */
  | { readonly kind: "tls-exporter"; readonly bytes: Uint8Array };

const TLS_EXPORTER_BYTES = 32;

export interface PairingChannel {
  readonly mode: PairingMode;
  readonly binding: ChannelBinding;
  readonly joiner: PairingParty;
  readonly gatehouse: PairingParty;
}

/** The identity of this install, as pairing needs it. */
export interface PairingIdentity {
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Signs `message` under `label` with the identity key. */
  sign(label: Label, message: Uint8Array): Uint8Array;
}

/** CPace's associated data: they name the sender, so that no side's tag is good for the other. */
export const ASSOCIATED_DATA: Readonly<Record<PairingRole, Uint8Array>> = {
  joiner: utf8("joiner"),
  gatehouse: utf8("gatehouse"),
};

/** @throws RangeError when the exporter's bytes are not 32. */
export function channelIdentifier({ mode, binding, joiner, gatehouse }: PairingChannel): Uint8Array {
  const fields = new ByteWriter()
    .prefixed(utf8(LABELS.pairingChannel))
    .prefixed(utf8(PAIRING_ALPN))
    .prefixed(Uint8Array.of(PAIRING_VERSION))
    .prefixed(utf8(mode))
    .prefixed(utf8("joiner"))
    .prefixed(joiner.identityKey)
    .prefixed(joiner.tlsKeyHash)
    .prefixed(utf8("gatehouse"))
    .prefixed(gatehouse.identityKey)
    .prefixed(gatehouse.tlsKeyHash);
  if (binding.kind === "none") return fields.finish();
  const { kind, bytes } = binding;
  if (bytes.length !== TLS_EXPORTER_BYTES) {
    throw new RangeError(`channelIdentifier: ${kind} of ${bytes.length} bytes, not ${TLS_EXPORTER_BYTES}`);
  }
  return fields.prefixed(utf8(kind)).prefixed(bytes).finish();
}

export function sessionIdentifier({ joiner, gatehouse }: PairingChannel): Uint8Array {
  return concat(joiner.nonce, gatehouse.nonce);
}

/** What `role` signs beside its tag: knowing the code does not make anybody the owner of an identity key. */
export function identityStatement(
  role: PairingRole,
  channel: PairingChannel,
  shares: { readonly joiner: Uint8Array; readonly gatehouse: Uint8Array },
): Uint8Array {
  return new ByteWriter()
    .prefixed(utf8(role))
    .prefixed(channelIdentifier(channel))
    .prefixed(sessionIdentifier(channel))
    .prefixed(shares.joiner)
    .prefixed(shares.gatehouse)
    .finish();
}

/**
 * Authenticates what follows the confirmation, each side under its own key, each message under its number:
 * tag = HMAC-SHA-512(key, lv(number as one byte) ‖ lv(body)).
 */
export class SealedMessages {
  readonly #sendKey: Uint8Array;
  readonly #receiveKey: Uint8Array;
  #sent = 0;
  #received = 0;

  constructor(own: PairingRole, key: CpaceKey, channel: PairingChannel) {
    const other: PairingRole = own === "joiner" ? "gatehouse" : "joiner";
    this.#sendKey = messageKey(own, key, channel);
    this.#receiveKey = messageKey(other, key, channel);
  }

  seal(body: PairBody): Sealed {
    const bytes = encodePairBody(body);
    const tag = hmacSha512(this.#sendKey, lvCat(Uint8Array.of(this.#sent), bytes));
    this.#sent += 1;
    return { kind: "sealed", body: bytes, tag };
  }

  /** @throws GatehouseError `pairing.bad-message`. */
  open(sealed: Sealed): PairBody {
    const expected = hmacSha512(this.#receiveKey, lvCat(Uint8Array.of(this.#received), sealed.body));
    if (!equalSecrets(expected, sealed.tag)) throw badMessage("not authentic");
    this.#received += 1;
    return decodePairBody(sealed.body);
  }
}

function messageKey(sender: PairingRole, key: CpaceKey, channel: PairingChannel): Uint8Array {
  return hkdfSha512({
    ikm: key.isk,
    salt: sessionIdentifier(channel),
    info: utf8(`${LABELS.pairingSession}/${sender}`),
    length: 64,
  });
}
