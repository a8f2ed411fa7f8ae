/** One bad message each, and what has to come of it. */
import { concat, fromHex, utf8 } from "../../src/core/index.ts";
import { encodePairMessage, framePairMessage, type PairMessage } from "../../src/pairing/index.ts";
import { encodePairBody, type GrantBody } from "../../src/pairing/messages.ts";
import type { Exchange } from "./pairing-exchange.ts";
import {
  install,
  type LeafWish,
  leafOf,
  NOW,
  requestOf,
  type VectorGatehouse,
  type VectorJoiner,
} from "./pairing-parties.ts";
import { bytesField, sealRaw, type Values } from "./pairing-values.ts";

export interface RefusedCase {
  readonly name: string;
  /** Name of the exchange whose messages come first. */
  readonly exchange: string;
  readonly to: "joiner" | "gatehouse";
  /** How many of that exchange's messages to that side come first. */
  readonly after: number;
  /** Framed, or what stands for a frame. */
  readonly bytes: Uint8Array;
  readonly code: string;
}

interface Ground {
  readonly exchanges: readonly Exchange[];
  readonly joiner: VectorJoiner;
  readonly gatehouse: VectorGatehouse;
  readonly other: VectorGatehouse;
}

type Bad = Pick<RefusedCase, "name" | "bytes"> & { readonly code?: string };

/** Where in an exchange a bad message comes. */
type Place = Pick<RefusedCase, "exchange" | "to" | "after">;

const BAD_MESSAGE = "pairing.bad-message";

/** RFC 9496 appendix A.3, one of each kind, and the identity, which the group has and CPace has not. */
const BAD_ELEMENTS = {
  "the identity": "00".repeat(32),
  "a non-canonical field element": `${"ff".repeat(31)}7f`,
  "a field element above p": `ed${"ff".repeat(30)}7f`,
  "a non-canonical encoding with the top bit set": `00${"ff".repeat(31)}`,
  "a negative field element": `01${"00".repeat(31)}`,
  "a non-square x^2": "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371",
  "a negative x*y": "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e",
  "s = -1, so that y = 0": `ec${"ff".repeat(30)}7f`,
} as const;

export async function refusedCases(ground: Ground): Promise<readonly RefusedCase[]> {
  const values = valuesIn(ground, "code");
  const code = (to: Place["to"], after: number): Place => ({ exchange: "code", to, after });
  const shares = Object.entries(BAD_ELEMENTS).map(([name, element]) => ({
    name: `a share that is ${name}`,
    bytes: message({ kind: "share", element: fromHex(element) }),
  }));
  return [
    ...at(code("gatehouse", 0), [...badFrames(), ...badHellos(values)]),
    ...at(code("gatehouse", 1), [...shares, ...outOfTurn(values)]),
    ...at(code("gatehouse", 2), badConfirms("joiner", values)),
    ...at(code("gatehouse", 3), await badRequests(ground, values)),
    ...at(code("gatehouse", 4), badEnds(values)),
    ...at(code("joiner", 0), badAnswers(ground, values)),
    ...at({ exchange: "uri", to: "joiner", after: 0 }, otherGatehouse(ground)),
    ...at(code("joiner", 1), [...shares, echo(values)]),
    ...at(code("joiner", 2), badConfirms("gatehouse", values)),
    ...at(code("joiner", 3), await badGrants(ground, values)),
  ];
}

function at(place: Place, cases: readonly Bad[]): readonly RefusedCase[] {
  return cases.map(({ name, bytes, code = BAD_MESSAGE }) => ({ name, ...place, bytes, code }));
}

function valuesIn({ exchanges }: Ground, name: string): Values {
  const found = exchanges.find(({ plan }) => plan.name === name);
  if (found === undefined) throw new RangeError(`no exchange ${name}`);
  return found.values;
}

const message = (content: PairMessage): Uint8Array => framePairMessage(encodePairMessage(content));

const varintField = (number: number, ...varint: readonly number[]): Uint8Array =>
  Uint8Array.of(number * 8, ...varint);

const SOME_IDENTITY = install("joiner").identity.publicKey;

function badFrames(): readonly Bad[] {
  const share = encodePairMessage({ kind: "share", element: new Uint8Array(32).fill(1) });
  return [
    { name: "a length of zero", bytes: Uint8Array.of(0) },
    {
      name: "a length in more bytes than it takes",
      bytes: concat(Uint8Array.of(share.length + 0x80, 0), share),
    },
    { name: "a length of one byte above the bound", bytes: Uint8Array.of(0x81, 0x80, 0x01) },
    { name: "a length of four bytes", bytes: Uint8Array.of(0x80, 0x80, 0x80, 0x01) },
    { name: "no known kind of message", bytes: framePairMessage(bytesField(6, utf8("x"))) },
    { name: "two messages in one frame", bytes: framePairMessage(concat(share, share)) },
    { name: "a message cut off in its last field", bytes: framePairMessage(share.subarray(0, -1)) },
  ];
}

/** Fields that make a good hello when they stand one after the other. */
function helloFields({ joinerNonce }: Values) {
  return {
    version: varintField(1, 1),
    mode: bytesField(2, utf8("code")),
    nonce: bytesField(3, joinerNonce),
    identityKey: bytesField(4, SOME_IDENTITY),
  };
}

function badHellos(values: Values): readonly Bad[] {
  const { version, mode, nonce, identityKey } = helloFields(values);
  const hello = (...fields: readonly Uint8Array[]) => framePairMessage(bytesField(1, concat(...fields)));
  return [
    { name: "version 2", bytes: hello(varintField(1, 2), mode, nonce, identityKey) },
    { name: "no version", bytes: hello(mode, nonce, identityKey) },
    { name: "a default value spelled out", bytes: hello(varintField(1, 0), mode, nonce, identityKey) },
    {
      name: "a number in more bytes than it takes",
      bytes: hello(varintField(1, 0x81, 0), mode, nonce, identityKey),
    },
    {
      name: "a number above 32 bits",
      bytes: hello(varintField(1, 0x81, 0x80, 0x80, 0x80, 0x10), mode, nonce, identityKey),
    },
    {
      name: "a number of another wire type",
      bytes: hello(bytesField(1, Uint8Array.of(1)), mode, nonce, identityKey),
    },
    {
      name: "a mode that nobody knows",
      bytes: hello(version, bytesField(2, utf8("nfc")), nonce, identityKey),
    },
    { name: "a nonce of 31 bytes", bytes: hello(version, mode, nonce.with(1, 31).slice(0, -1), identityKey) },
    {
      name: "an identity key of 33 bytes",
      bytes: hello(version, mode, nonce, bytesField(4, new Uint8Array(33).fill(9))),
    },
    { name: "fields out of order", bytes: hello(version, mode, identityKey, nonce) },
    { name: "a field twice", bytes: hello(version, version, mode, nonce, identityKey) },
    { name: "an unknown field", bytes: hello(version, mode, nonce, identityKey, varintField(5, 1)) },
    {
      name: "a tag in more bytes than it takes",
      bytes: hello(Uint8Array.of(0x88, 0x00, 0x01), mode, nonce, identityKey),
    },
  ];
}

function outOfTurn({ joinerTag, joinerSignature, joinerNonce }: Values): readonly Bad[] {
  const hello = {
    kind: "hello",
    version: 1,
    mode: "code",
    nonce: joinerNonce,
    identityKey: SOME_IDENTITY,
  } as const;
  const refusal = {
    kind: "refusal",
    code: "pairing.closed",
    message: "",
    hint: "",
    retryAfterMs: 0,
  } as const;
  return [
    { name: "a second hello", bytes: message(hello) },
    {
      name: "a confirmation before the share",
      bytes: message({ kind: "confirm", tag: joinerTag, signature: joinerSignature }),
    },
    { name: "a refusal by the joiner", bytes: message(refusal) },
    {
      name: "a share of 31 bytes",
      bytes: framePairMessage(bytesField(2, bytesField(1, new Uint8Array(31).fill(1)))),
    },
    { name: "an empty share", bytes: framePairMessage(bytesField(2, new Uint8Array(0))) },
  ];
}

function badConfirms(from: "joiner" | "gatehouse", values: Values): readonly Bad[] {
  const tag = values[`${from}Tag`];
  const signature = values[`${from}Signature`];
  const reflected = from === "joiner" ? values.gatehouseTag : values.joinerTag;
  const confirm = (changed: { tag?: Uint8Array; signature?: Uint8Array }) =>
    message({ kind: "confirm", tag, signature, ...changed });
  return [
    { name: "a wrong tag", bytes: confirm({ tag: flipped(tag) }), code: "pairing.wrong-code" },
    { name: "the other side's own tag", bytes: confirm({ tag: reflected }), code: "pairing.wrong-code" },
    {
      name: "a wrong tag and a wrong signature",
      bytes: confirm({ tag: flipped(tag), signature: flipped(signature) }),
      code: "pairing.wrong-code",
    },
    { name: "a wrong signature", bytes: confirm({ signature: flipped(signature) }) },
    {
      name: "the other side's signature",
      bytes: confirm({ signature: from === "joiner" ? values.gatehouseSignature : values.joinerSignature }),
    },
    {
      name: "a tag cut short",
      bytes: framePairMessage(
        bytesField(3, concat(bytesField(1, tag.subarray(1)), bytesField(2, signature))),
      ),
    },
  ];
}

async function badRequests({ joiner, other }: Ground, values: Values): Promise<readonly Bad[]> {
  const { joinerSealKey: key, gatehouseSealKey } = values;
  const good = joiner.certificateRequest;
  const fields = (request: Uint8Array, ...more: readonly Uint8Array[]) =>
    bytesField(1, concat(bytesField(1, request), ...more));
  const sealed = (...more: readonly Uint8Array[]) => sealRaw(key, 0, fields(good, ...more));
  const named = (name: string): Bad["bytes"] => sealed(bytesField(2, utf8(name)));
  const asking = (request: Uint8Array) => sealRaw(key, 0, fields(request, bytesField(2, utf8("phone"))));
  const BAD_REQUEST = "certificate.bad-request";
  return [
    {
      name: "a request under the number of the next message",
      bytes: sealRaw(key, 1, fields(good, bytesField(2, utf8("phone")))),
    },
    {
      name: "a request under the gatehouse's key",
      bytes: sealRaw(gatehouseSealKey, 0, fields(good, bytesField(2, utf8("phone")))),
    },
    { name: "done in place of a request", bytes: sealRaw(key, 0, encodePairBody({ kind: "done" })) },
    { name: "a sealed body that is empty", bytes: sealRaw(key, 0, new Uint8Array(0)) },
    { name: "no name", bytes: sealed() },
    { name: "a name with a space behind it", bytes: named("phone ") },
    { name: "a name of 65 bytes", bytes: named("n".repeat(65)) },
    { name: "a name with an escape character", bytes: named("\u001b[2J") },
    { name: "a name that runs from right to left by an override", bytes: named("\u202etfel") },
    { name: "a name that is not UTF-8", bytes: sealed(bytesField(2, Uint8Array.of(0x61, 0xff))) },
    {
      name: "an empty text spelled out",
      bytes: sealed(bytesField(2, utf8("phone")), bytesField(3, utf8(""))),
    },
    { name: "a false spelled out", bytes: sealed(bytesField(2, utf8("phone")), varintField(5, 0)) },
    { name: "a truth value of two", bytes: sealed(bytesField(2, utf8("phone")), varintField(5, 2)) },
    {
      name: "a certificate request for another TLS key",
      bytes: asking(await requestOf(joiner, other)),
      code: BAD_REQUEST,
    },
    {
      name: "another identity's certificate request",
      bytes: asking(await requestOf(other, joiner)),
      code: BAD_REQUEST,
    },
    {
      name: "a certificate request with a wrong signature",
      bytes: asking(flipped(good, good.length - 1)),
      code: BAD_REQUEST,
    },
    {
      name: "a certificate request with a byte behind it",
      bytes: asking(concat(good, Uint8Array.of(0))),
      code: BAD_REQUEST,
    },
    { name: "a certificate request cut short", bytes: asking(good.subarray(0, -1)), code: BAD_REQUEST },
  ];
}

function badEnds({ joinerSealKey }: Values): readonly Bad[] {
  const done = encodePairBody({ kind: "done" });
  return [
    { name: "done under the number of the request", bytes: sealRaw(joinerSealKey, 0, done) },
    { name: "done with a field in it", bytes: sealRaw(joinerSealKey, 1, bytesField(3, varintField(1, 1))) },
    {
      name: "pending from the joiner",
      bytes: sealRaw(joinerSealKey, 1, encodePairBody({ kind: "pending", timeoutMs: 5 })),
    },
  ];
}

function badAnswers({ gatehouse }: Ground, { gatehouseNonce: nonce }: Values): readonly Bad[] {
  const { publicKey: identityKey } = gatehouse.identity;
  const hello = { kind: "hello", version: 1, mode: "code", nonce, identityKey } as const;
  const refusal = { kind: "refusal", message: "no", hint: "", retryAfterMs: 0 } as const;
  return [
    { name: "version 2", bytes: message({ ...hello, version: 2 }) },
    { name: "another mode", bytes: message({ ...hello, mode: "uri" }) },
    { name: "the joiner's own identity key", bytes: message({ ...hello, identityKey: SOME_IDENTITY }) },
    { name: "a share before the hello", bytes: message({ kind: "share", element: nonce }) },
    {
      name: "a refusal",
      bytes: message({ ...refusal, code: "pairing.code-burnt" }),
      code: "pairing.code-burnt",
    },
    {
      name: "a refusal with a line break in it",
      bytes: message({ ...refusal, code: "pairing.closed", message: "a\nb" }),
    },
  ];
}

function otherGatehouse(ground: Ground): readonly Bad[] {
  const { gatehouseNonce: nonce } = valuesIn(ground, "uri");
  const { publicKey: identityKey } = ground.other.identity;
  const bytes = message({ kind: "hello", version: 1, mode: "uri", nonce, identityKey });
  return [{ name: "another gatehouse than the URI names", bytes, code: "pairing.wrong-gatehouse" }];
}

function echo({ joinerShare }: Values): Bad {
  return { name: "the joiner's own share", bytes: message({ kind: "share", element: joinerShare }) };
}

async function badGrants({ joiner, gatehouse, other }: Ground, values: Values): Promise<readonly Bad[]> {
  const { gatehouseSealKey: key } = values;
  const certificate = await leafOf(gatehouse, { of: joiner, usage: "device" });
  const good: GrantBody = {
    kind: "grant",
    certificate,
    caCertificates: [gatehouse.caCertificate],
    deviceId: joiner.identity.id,
    ...{ deviceName: "phone", role: "member", gatehouseName: gatehouse.name },
  };
  const granting = (changed: Partial<GrantBody>, number = 0) =>
    sealRaw(key, number, encodePairBody({ ...good, ...changed }));
  const leaf = async (wish: Partial<LeafWish>, by = gatehouse) =>
    granting({ certificate: await leafOf(by, { of: joiner, usage: "device", ...wish }) });
  const authorities = (...caCertificates: readonly Uint8Array[]) => granting({ caCertificates });
  const day = 86_400_000;
  return [
    { name: "a grant under the number of the next message", bytes: granting({}, 1) },
    { name: "a grant under the joiner's key", bytes: sealRaw(values.joinerSealKey, 0, encodePairBody(good)) },
    { name: "done in place of a grant", bytes: sealRaw(key, 0, encodePairBody({ kind: "done" })) },
    { name: "no authority", bytes: authorities() },
    {
      name: "five authorities",
      bytes: authorities(...Array.from({ length: 5 }, () => gatehouse.caCertificate)),
    },
    {
      name: "a certificate for another device",
      bytes: await leaf({ of: other, keyOf: joiner }),
    },
    { name: "another device's id beside the certificate", bytes: granting({ deviceId: other.identity.id }) },
    { name: "a certificate for another key", bytes: await leaf({ keyOf: other }) },
    {
      name: "a server's certificate",
      bytes: await leaf({ usage: "server" }),
      code: "certificate.wrong-profile",
    },
    {
      name: "a certificate of another authority",
      bytes: await leaf({}, other),
      code: "certificate.untrusted",
    },
    {
      name: "another gatehouse's authority",
      bytes: authorities(gatehouse.caCertificate, other.caCertificate),
      code: "certificate.wrong-profile",
    },
    {
      name: "a certificate that has run out",
      bytes: await leaf({ now: NOW - 31 * day }),
      code: "certificate.expired",
    },
    { name: "a certificate of tomorrow", bytes: await leaf({ now: NOW + day }), code: "certificate.expired" },
    {
      name: "a certificate with a wrong signature",
      bytes: granting({ certificate: flipped(certificate, certificate.length - 1) }),
      code: "certificate.untrusted",
    },
    {
      name: "a certificate with a byte behind it",
      bytes: granting({ certificate: concat(certificate, Uint8Array.of(0)) }),
      code: "certificate.malformed",
    },
  ];
}

/** With the lowest bit of one byte changed. */
function flipped(bytes: Uint8Array, index = 0): Uint8Array {
  return bytes.with(index, (bytes[index] ?? 0) ^ 1);
}
