import { verify } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { isGatehouseError } from "../../src/core/index.ts";
import { formatPairingUri, type PairingSecret, parsePairingUri } from "../../src/pairing/index.ts";
import { makeGatehouse, makeJoiner, machines as realTwins } from "../pairing/parties.ts";
import { openWindow } from "../pairing/windows.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { makePairingVectors, PLANS } from "../vectors/make-pairing.ts";
import { machines } from "../vectors/pairing-exchange.ts";
import { vectorGatehouse, vectorJoiner } from "../vectors/pairing-parties.ts";
import { concat, fromHex, hex, sha256, sha512, utf8 } from "./bytes.ts";
import { spkiOf } from "./certificates.ts";
import { generator, generatorString, macKey, sessionKey, sharedPoint, shareOf } from "./cpace.ts";
import {
  type ExchangeVector,
  type RefusedVector,
  refusalOf,
  TwinHome,
  TwinPhone,
  twins,
  type Vectors,
} from "./exchanges.ts";
import { Identity } from "./identity.ts";
import { type Grant, readGrant, Unframer } from "./messages.ts";
import { createRequest, TLS_BINDING } from "./request.ts";
import { decode, derive, encode, isIdentity, multiply, ORDER } from "./ristretto255.ts";
import {
  CONFIRMATION,
  channelIdentifier,
  keysOf,
  type Parties,
  Seals,
  sessionIdentifier,
  statement,
} from "./transcript.ts";
import { parseUri } from "./uri.ts";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const FILE = fileURLToPath(new URL("../vectors/pairing.json", import.meta.url));
const text = readFileSync(FILE, "utf8");
const vectors = JSON.parse(text) as Vectors;
const NOW = new ManualClock().now();

const bytesOf = (from: Readonly<Record<string, string>>, name: string): Uint8Array =>
  fromHex(from[name] ?? "");

describe("the twin", () => {
  it("has nothing of src/ in it, and no package but Node's own", () => {
    const files = readdirSync(HERE).filter((name) => !name.endsWith(".test.ts"));
    const imports = files.flatMap((name) => [
      ...readFileSync(join(HERE, name), "utf8").matchAll(/from "([^"]+)"/g),
    ]);
    expect(files.length).toBeGreaterThan(10);
    expect(
      imports.map(([, from = ""]) => from).filter((from) => !/^(?:node:crypto$|\.\/)/.test(from)),
    ).toEqual([]);
  });

  it("multiplies, maps and refuses as RFC 9496 appendix A has it", () => {
    const small = (value: number) => new Uint8Array(32).with(0, value);
    const base = decode(fromHex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"));
    if (base === undefined) throw new Error("no base point");
    const multiple = (value: number) => hex(encode(multiply(base, small(value))));
    expect(multiple(2)).toBe("6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919");
    expect(multiple(15)).toBe("e0c418f7c8d9c4cdd7395b93ea124f3ad99021bb681dfc3302a9d99a2e53e64e");
    const order = Uint8Array.from({ length: 32 }, (_, index) => Number((ORDER >> BigInt(8 * index)) & 255n));
    expect(isIdentity(multiply(base, order))).toBe(true);
    const mapped = (label: string) => hex(encode(derive(sha512(utf8(label)))));
    expect(mapped("Ristretto is traditionally a short shot of espresso coffee")).toBe(
      "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46",
    );
    expect(mapped("made with the normal amount of ground coffee but extracted with")).toBe(
      "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b",
    );
    const refused = vectors.refused.filter(({ name }) => name.startsWith("a share that is "));
    const elements = refused.map(({ bytes }) => fromHex(bytes.slice(-64)));
    expect(elements.filter((element) => decode(element) !== undefined).map(hex)).toEqual([
      "00".repeat(32),
      "00".repeat(32),
    ]);
  });

  it("agrees with the draft's vector for CPACE-RISTR255-SHA512", () => {
    const input = {
      secret: utf8("Password"),
      channel: fromHex("0b415f696e69746961746f720b425f726573706f6e646572"),
      session: fromHex("7e4b4791d6a8ef019b936c79fb7f2c57"),
    };
    const ya = fromHex("da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08");
    const yb = fromHex("d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d");
    expect(hex(generator(input))).toBe("222b6b195fe84b1652badb6f6a3ae3d24341e7306967f0b8115b40d5698c7e56");
    const [a, b] = [shareOf(input, ya), shareOf(input, yb)];
    expect(hex(a)).toBe("d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157");
    const point = sharedPoint(a, ya, b) ?? new Uint8Array(0);
    expect(hex(point)).toBe("80b69a8a76457ab6a4d7f887a4bf6b55a2f80ac19c333f917a05fc9887c8b40f");
    const sides = [
      { share: a, associatedData: utf8("ADa") },
      { share: b, associatedData: utf8("ADb") },
    ] as const;
    expect(hex(sessionKey(input.session, point, ...sides))).toBe(
      "b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd" +
        "2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447",
    );
  });
});

describe("test/vectors/pairing.json", () => {
  it("is what scripts/generate-pairing-vectors.ts makes now", async () => {
    expect(`${JSON.stringify(await makePairingVectors(), undefined, 2)}\n`).toBe(text);
  });

  it("has ids, bindings and a certificate request that the twin makes too", () => {
    for (const side of [vectors.joiner, vectors.gatehouse]) {
      const identity = new Identity(bytesOf(side, "identitySeed"));
      expect(hex(identity.publicKey)).toBe(side["identityKey"]);
      expect(identity.id).toBe(side["deviceId"]);
      expect(hex(identity.sign(TLS_BINDING, bytesOf(side, "spki")))).toBe(side["tlsBinding"]);
      expect(hex(spkiOf(bytesOf(side, "certificate")))).toBe(side["spki"]);
      expect(hex(sha256(bytesOf(side, "spki")))).toBe(side["spkiSha256"]);
    }
    const request = bytesOf(vectors.joiner, "certificateRequest");
    const spki = bytesOf(vectors.joiner, "spki");
    const made = createRequest(new Identity(bytesOf(vectors.joiner, "identitySeed")), {
      spki,
      sign: (message) => signatureIn(request, spki, message),
    });
    expect(hex(made)).toBe(hex(request));
  });

  it.each(vectors.exchanges)("has the values of exchange $name as the twin computes them", (exchange) => {
    const { values } = exchange;
    const secret = bytesOf(values, "secret");
    const parties = partiesOf(exchange);
    const [channel, session] = [channelIdentifier(parties), sessionIdentifier(parties)];
    const input = { secret, channel, session };
    const [ya, yb] = [bytesOf(values, "joinerScalar"), bytesOf(values, "gatehouseScalar")];
    const shares = { joiner: shareOf(input, ya), gatehouse: shareOf(input, yb) };
    const point = sharedPoint(shares.joiner, ya, shares.gatehouse) ?? new Uint8Array(0);
    const keys = keysOf(parties, shares, point);
    const signing = (side: "joiner" | "gatehouse") =>
      new Identity(bytesOf(vectors[side], "identitySeed")).sign(
        CONFIRMATION,
        statement(side, parties, shares),
      );
    const computed = {
      ...{ secret, joinerNonce: parties.joiner.nonce, gatehouseNonce: parties.gatehouse.nonce },
      ...(parties.exporter === undefined ? {} : { tlsExporter: parties.exporter }),
      ...{ channelIdentifier: channel, sessionIdentifier: session },
      ...{ generatorString: generatorString(input), generatorHash: sha512(generatorString(input)) },
      ...{ generator: generator(input), joinerScalar: ya, gatehouseScalar: yb },
      ...{ joinerShare: shares.joiner, gatehouseShare: shares.gatehouse, sharedPoint: point },
      ...{ isk: keys.isk, macKey: macKey(session, keys.isk) },
      ...{ joinerTag: keys.tags.joiner, gatehouseTag: keys.tags.gatehouse },
      joinerStatement: statement("joiner", parties, shares),
      gatehouseStatement: statement("gatehouse", parties, shares),
      ...{ joinerSignature: signing("joiner"), gatehouseSignature: signing("gatehouse") },
      ...{ joinerSealKey: keys.sealKeys.joiner, gatehouseSealKey: keys.sealKeys.gatehouse },
    };
    const inHex = Object.fromEntries(Object.entries(computed).map(([name, bytes]) => [name, hex(bytes)]));
    expect(inHex).toEqual(values);
  });

  it.each(vectors.exchanges)("has every byte of exchange $name as two twins send it", (exchange) => {
    const { joiner, gatehouse } = twins(vectors, exchange, grantIn(exchange));
    const sent: string[] = [];
    let up: Uint8Array = joiner.start();
    while (joiner.grant === undefined) {
      const down = gatehouse.receive(up);
      sent.push(hex(up), hex(down));
      up = joiner.receive(down);
    }
    const done = joiner.done();
    gatehouse.receive(done);
    expect([...sent, hex(done)].join("")).toBe(exchange.messages.map(({ bytes }) => bytes).join(""));
    expect(gatehouse.isDone).toBe(true);
    expect(gatehouse.request).toMatchObject(exchange.wish);
    expect(joiner.pendingMs).toBe(exchange.pendingMs);
  });

  it("covers what the two sides must refuse, each at every step", () => {
    const steps = new Set(vectors.refused.map(({ to, after }) => `${to} ${after}`));
    expect([...steps].sort()).toEqual([
      ...["gatehouse 0", "gatehouse 1", "gatehouse 2", "gatehouse 3", "gatehouse 4"],
      ...["joiner 0", "joiner 1", "joiner 2", "joiner 3"],
    ]);
    const places = vectors.refused.map(({ to, after, name }) => `${to} ${after} ${name}`);
    expect(new Set(places).size).toBe(places.length);
  });

  it.each(vectors.refused)("has the twin's $to refuse, after $after messages, $name", (refused) => {
    const { exchange, before } = placeOf(refused);
    const side = twins(vectors, exchange, grantIn(exchange))[refused.to];
    const code = refusalOf(() => {
      for (const bytes of before) side.receive(bytes);
      expect(refusalOf(() => side.receive(fromHex(refused.bytes)))).toBe(refused.code);
    });
    expect(code).toBe("none");
  });
});

describe("the real machines", () => {
  let joiner: Awaited<ReturnType<typeof vectorJoiner>>;
  let gatehouse: Awaited<ReturnType<typeof vectorGatehouse>>;

  beforeAll(async () => {
    [joiner, gatehouse] = await Promise.all([vectorJoiner("joiner"), vectorGatehouse("gatehouse")]);
  });

  it.each(vectors.refused)("have the $to refuse, after $after messages, $name", async (refused) => {
    const { before } = placeOf(refused);
    const plan = PLANS.find(({ name }) => name === refused.exchange);
    if (plan === undefined) throw new Error("no such exchange");
    const { initiator, responder } = await machines(plan, { joiner, gatehouse });
    const side = refused.to === "joiner" ? initiator : responder;
    for (const bytes of before) expect((await side.receive(bytes)).failure).toBeUndefined();
    const { failure, isDone } = await side.receive(fromHex(refused.bytes));
    expect({ code: failure?.code, isDone }).toEqual({ code: refused.code, isDone: true });
  });

  it("pair with the twin's joiner, by code and by URI", async () => {
    const home = await makeGatehouse();
    for (const mode of ["code", "uri"] as const) {
      const { window } = await openWindow();
      const { uriSecret, code = "" } = window;
      const uri = formatPairingUri({
        address: "host:7443",
        gatehouseId: home.identity.id,
        secret: uriSecret,
      });
      const phone = new TwinPhone(NOW);
      const twin = phone.join(home.certificate, mode === "code" ? { code } : { uri });
      const { responder } = realTwins({
        ...{ gatehouse: home, window, secret: { mode: "code", code } },
        joiner: { ...(await makeJoiner()), certificate: phone.certificate },
      });
      let up: Uint8Array = twin.start();
      while (twin.grant === undefined) up = twin.receive((await responder.receive(up)).bytes);
      await responder.receive(twin.done());
      expect(twin.grant).toMatchObject({ deviceId: phone.identity.id, deviceName: "phone", role: "member" });
      expect(twin.gatehouseKey).toEqual(home.identity.publicKey);
      expect({ state: window.state, isAccepting: window.isAccepting }).toEqual({
        state: "paired",
        isAccepting: false,
      });
    }
  });

  it("turn away such a joiner with a wrong code, which then knows that its code is spent", async () => {
    const home = await makeGatehouse();
    const { window } = await openWindow();
    const phone = new TwinPhone(NOW);
    const twin = phone.join(home.certificate, { code: window.code === "000000" ? "000001" : "000000" });
    const { responder } = realTwins({
      ...{ gatehouse: home, window, secret: { mode: "code", code: "000000" } },
      joiner: { ...(await makeJoiner()), certificate: phone.certificate },
    });
    const share = twin.receive((await responder.receive(twin.start())).bytes);
    expect(twin.isCodeSpent).toBe(false);
    const confirm = twin.receive((await responder.receive(share)).bytes);
    const { bytes } = await responder.receive(confirm);
    expect(refusalOf(() => twin.receive(bytes))).toBe("pairing.wrong-code");
    expect({ isSpent: twin.isCodeSpent, window: window.state }).toEqual({ isSpent: true, window: "burnt" });
  });

  it.each([
    ["by code", "code", undefined],
    ["by code, after somebody was asked", "code", 90_000],
    ["by URI", "uri", undefined],
  ] as const)("pair with the twin's gatehouse, %s", async (_how, mode, pendingMs) => {
    const home = new TwinHome(NOW);
    const device = await makeJoiner();
    const secretBytes = Uint8Array.from({ length: 16 }, (_, index) => index);
    const secret: PairingSecret =
      mode === "code"
        ? { mode, code: "004211" }
        : parsed(
            formatPairingUri({
              address: "h:1",
              gatehouseId: realId(home.identity.id),
              secret: secretBytes,
            }),
          );
    const secrets = { code: utf8("004211"), uri: secretBytes };
    const twin = home.meet(
      device.certificate,
      pendingMs === undefined ? { secrets } : { secrets, pendingMs },
    );
    const { initiator } = realTwins({
      ...{ gatehouse: await makeGatehouse(), window: undefined, secret, joiner: device },
      asInitiator: { peerCertificate: home.certificate, clock: new ManualClock(NOW) },
    });
    let asked: number | undefined;
    let up: Uint8Array = initiator.start();
    while (initiator.result === undefined) {
      const { bytes, failure, pendingMs: heard } = initiator.receive(twin.receive(up));
      expect(failure).toBeUndefined();
      asked ??= heard;
      up = bytes;
    }
    const { result } = initiator;
    twin.receive(initiator.acknowledge());
    expect(result).toMatchObject({
      gatehouseId: home.identity.id,
      gatehouseName: "twin",
      deviceName: "laptop",
    });
    expect({ asked, isDone: twin.isDone }).toEqual({ asked: pendingMs, isDone: true });
  });

  it("take and refuse the same URIs as the twin", () => {
    const good = vectors.exchanges[1]?.uri ?? "";
    const id = vectors.gatehouse["deviceId"] ?? "";
    const spellings = [
      ...[
        good,
        good.toUpperCase(),
        ` ${good}`,
        `${good} `,
        `${good}A`,
        good.slice(0, -1),
        good.replace("#", "?"),
      ],
      ...[good.replace(":7443", ""), good.replace(":7443", ":0"), good.replace(":7443", ":65536")],
      ...[good.replace(":7443", ":07443"), good.replace("[2001:db8::7]", "192.0.2.7")],
      ...[good.replace("[2001:db8::7]", "a b"), good.replace("[2001:db8::7]", "2001:db8::7")],
      ...[good.replace("[2001:db8::7]", "h".repeat(253)), good.replace("[2001:db8::7]", "h".repeat(254))],
      ...[good.replace("[2001:db8::7]", "user@host"), good.replace(id, id.slice(0, -1))],
      ...[
        good.replace(id, `${id.slice(1)}a`),
        good.replace(/.$/, "B"),
        good.replace("gatehouse:", "gatehouses:"),
      ],
    ];
    const taken = spellings.filter((spelling) => refusalOf(() => parseUri(spelling)) === "none");
    expect(spellings.filter(isTaken)).toEqual(taken);
    expect(taken).toHaveLength(3);
    expect(parseUri(good)).toEqual(parsePairingUri(good));
  });
});

function isTaken(uri: string): boolean {
  try {
    return parsePairingUri(uri).address !== "";
  } catch (failure) {
    if (isGatehouseError(failure, "pairing.bad-uri")) return false;
    throw failure;
  }
}

function parsed(uri: string): PairingSecret {
  return { mode: "uri", ...parsePairingUri(uri) };
}

function realId(id: string): Parameters<typeof formatPairingUri>[0]["gatehouseId"] {
  return parsePairingUri(`gatehouse://h:1/${id}#${"A".repeat(22)}`).gatehouseId;
}

function partiesOf({ mode, values }: ExchangeVector): Parties {
  const party = (side: "joiner" | "gatehouse") => ({
    identityKey: bytesOf(vectors[side], "identityKey"),
    tlsKeyHash: sha256(spkiOf(bytesOf(vectors[side], "certificate"))),
    nonce: bytesOf(values, `${side}Nonce`),
  });
  const exporter = values["tlsExporter"] === undefined ? undefined : bytesOf(values, "tlsExporter");
  return { mode, joiner: party("joiner"), gatehouse: party("gatehouse"), exporter };
}

/** The exchange that a bad message comes in, and what was said to its receiver before. */
function placeOf({ exchange: name, to, after }: RefusedVector) {
  const exchange = vectors.exchanges.find((one) => one.name === name);
  if (exchange === undefined) throw new Error(`no exchange ${name}`);
  const before = exchange.messages.filter(({ from }) => from !== to).slice(0, after);
  return { exchange, before: before.map(({ bytes }) => fromHex(bytes)) };
}

/** The grant as it stands in an exchange: the twin has no authority whose key is in the vectors. */
function grantIn({ messages, values, mode, ...rest }: ExchangeVector): Grant {
  const parties = partiesOf({ messages, values, mode, ...rest });
  const shares = { joiner: bytesOf(values, "joinerShare"), gatehouse: bytesOf(values, "gatehouseShare") };
  const seals = new Seals("joiner", keysOf(parties, shares, bytesOf(values, "sharedPoint")));
  const sealed = messages.filter(({ from, what }) => from === "gatehouse" && what.startsWith("sealed"));
  const bodies = new Unframer()
    .push(concat(...sealed.map(({ bytes }) => fromHex(bytes))))
    .map((arrived) => seals.open(arrived));
  const grant = bodies.at(-1);
  if (grant === undefined) throw new Error("no grant");
  return readGrant(grant);
}

/** The signature at the end of `request`, if it is one of `spki`'s over `message`. */
function signatureIn(request: Uint8Array, spki: Uint8Array, message: Uint8Array): Uint8Array {
  for (let length = 68; length <= 72; length += 1) {
    const signature = request.slice(-length);
    const key = { key: Buffer.from(spki), format: "der", type: "spki" } as const;
    if (signature[0] === 0x30 && signature[1] === length - 2 && verify("sha256", message, key, signature)) {
      return signature;
    }
  }
  throw new Error("the request's signature is not over what the twin would sign");
}
