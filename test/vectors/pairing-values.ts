/** The values inside of an exchange, which the machines do not show; by the same code in src/ that they run. */
import { concat, equalBytes, utf8 } from "../../src/core/index.ts";
import { hkdfSha512, hmacSha512, LABELS, ristretto255, sha256, sha512 } from "../../src/crypto/index.ts";
import {
  type ChannelBinding,
  channelIdentifier,
  identityStatement,
  type PairingChannel,
  type PairingRole,
  sessionIdentifier,
} from "../../src/pairing/channel.ts";
import {
  cpaceGenerator,
  framePairMessage,
  generatorString,
  lvCat,
  type PairingMode,
  startCpace,
} from "../../src/pairing/index.ts";
import { drawing, fixedBytes } from "./fixed.ts";
import type { Install, VectorGatehouse, VectorJoiner } from "./pairing-parties.ts";

export interface Parties {
  readonly joiner: VectorJoiner;
  readonly gatehouse: VectorGatehouse;
}

/** In the order in which each side draws: its nonce, then what becomes its secret scalar. */
export function drawn(exchange: string, side: PairingRole): readonly [Uint8Array, Uint8Array] {
  return [fixedBytes(`${exchange}/${side}/nonce`, 32), fixedBytes(`${exchange}/${side}/scalar`, 64)];
}

interface Plan {
  readonly name: string;
  readonly mode: PairingMode;
  readonly secret: Uint8Array;
  readonly binding: ChannelBinding;
}

export type Values = ReturnType<typeof valuesOf>;

export function valuesOf({ name, mode, secret, binding }: Plan, { joiner, gatehouse }: Parties) {
  const [joinerNonce, joinerWide] = drawn(name, "joiner");
  const [gatehouseNonce, gatehouseWide] = drawn(name, "gatehouse");
  const channel: PairingChannel = {
    ...{ mode, binding },
    joiner: partyOf(joiner, joinerNonce),
    gatehouse: partyOf(gatehouse, gatehouseNonce),
  };
  const session = sessionIdentifier(channel);
  const input = { secret: Uint8Array.from(secret), channel: channelIdentifier(channel), session };
  return {
    ...{ secret: input.secret, joinerNonce, gatehouseNonce },
    ...(binding.kind === "none" ? {} : { tlsExporter: binding.bytes }),
    ...{ channelIdentifier: input.channel, sessionIdentifier: session },
    ...{ generatorString: generatorString(input), generatorHash: sha512(generatorString(input)) },
    generator: cpaceGenerator(input),
    ...agreed(input, joinerWide, gatehouseWide, (shares) => signed(channel, shares, { joiner, gatehouse })),
  };
}

type Shares = Readonly<Record<PairingRole, Uint8Array>>;

function agreed<More>(
  input: { readonly secret: Uint8Array; readonly channel: Uint8Array; readonly session: Uint8Array },
  joinerWide: Uint8Array,
  gatehouseWide: Uint8Array,
  more: (shares: Shares) => More,
) {
  const [ada, adb] = [utf8("joiner"), utf8("gatehouse")];
  const a = startCpace({ ...input, role: "initiator", associatedData: ada, random: drawing(joinerWide) });
  const b = startCpace({ ...input, role: "responder", associatedData: adb, random: drawing(gatehouseWide) });
  const joinerScalar = ristretto255.randomScalar(drawing(joinerWide));
  const gatehouseScalar = ristretto255.randomScalar(drawing(gatehouseWide));
  const sharedPoint = ristretto255.multiply(b.share, joinerScalar);
  const own = a.finish({ share: b.share, associatedData: adb });
  const theirs = b.finish({ share: a.share, associatedData: ada });
  if (sharedPoint === undefined || own === undefined || theirs === undefined) throw new Error("no key");
  const { isk } = own;
  const macKey = sha512(utf8("CPaceMac"), input.session, isk);
  const isMacKey = equalBytes(own.tag, hmacSha512(macKey, lvCat(a.share, ada)));
  if (!isMacKey || !theirs.isPeerTag(own.tag)) throw new Error("the two sides do not agree");
  return {
    ...{ joinerScalar, gatehouseScalar, joinerShare: a.share, gatehouseShare: b.share },
    ...{ sharedPoint, isk, macKey, joinerTag: own.tag, gatehouseTag: theirs.tag },
    ...more({ joiner: a.share, gatehouse: b.share }),
    joinerSealKey: sealKey("joiner", isk, input.session),
    gatehouseSealKey: sealKey("gatehouse", isk, input.session),
  };
}

function signed(channel: PairingChannel, shares: Shares, { joiner, gatehouse }: Parties) {
  const joinerStatement = identityStatement("joiner", channel, shares);
  const gatehouseStatement = identityStatement("gatehouse", channel, shares);
  return {
    ...{ joinerStatement, gatehouseStatement },
    joinerSignature: joiner.identity.sign(LABELS.pairingConfirmation, joinerStatement),
    gatehouseSignature: gatehouse.identity.sign(LABELS.pairingConfirmation, gatehouseStatement),
  };
}

function partyOf({ identity }: Install, nonce: Uint8Array) {
  return { identityKey: identity.publicKey, tlsKeyHash: sha256(identity.tls.spki), nonce };
}

function sealKey(sender: PairingRole, ikm: Uint8Array, salt: Uint8Array): Uint8Array {
  return hkdfSha512({ ikm, salt, info: utf8(`${LABELS.pairingSession}/${sender}`), length: 64 });
}

/** A sealed message with any body at all, framed. */
export function sealRaw(key: Uint8Array, number: number, body: Uint8Array): Uint8Array {
  const tag = hmacSha512(key, lvCat(Uint8Array.of(number), body));
  return framePairMessage(bytesField(4, concat(bytesField(1, body), bytesField(2, tag))));
}

/** A protobuf field of bytes, for what no encoder would write. */
export function bytesField(number: number, content: Uint8Array): Uint8Array {
  return concat(Uint8Array.of(number * 8 + 2), lvCat(content));
}
