/** Vectors of `gatehouse-pair/1`, everything random fixed, made by the code in src/. */
import { hex } from "../../src/core/index.ts";
import { sha256 } from "../../src/crypto/index.ts";
import type { PairingMode } from "../../src/pairing/index.ts";
import { type Exchange, type ExchangePlan, runExchange, type Wish } from "./pairing-exchange.ts";
import { type Install, NOW, vectorGatehouse, vectorJoiner } from "./pairing-parties.ts";
import { type RefusedCase, refusedCases } from "./pairing-refused.ts";

type Hexed = Readonly<Record<string, string>>;

/** Bytes are lower-case hex. */
export interface PairingVectors {
  readonly about: string;
  readonly protocol: string;
  /** Unix milliseconds. */
  readonly now: number;
  readonly joiner: Hexed;
  readonly gatehouse: Hexed;
  readonly exchanges: readonly ExchangeVector[];
  readonly refused: readonly RefusedVector[];
}

export interface ExchangeVector {
  readonly name: string;
  readonly mode: PairingMode;
  readonly uri?: string;
  readonly wish: Wish;
  /** Somebody was asked for so long at most. */
  readonly pendingMs?: number;
  readonly role: string;
  readonly values: Hexed;
  readonly messages: readonly {
    readonly from: "joiner" | "gatehouse";
    readonly what: string;
    readonly bytes: string;
  }[];
}

export interface RefusedVector extends Omit<RefusedCase, "bytes"> {
  readonly bytes: string;
}

const ABOUT =
  "written by scripts/generate-pairing-vectors.ts; docs/pairing.md says what is what; every key in it is public";

export const PLANS: readonly ExchangePlan[] = [
  {
    ...{ name: "code", mode: "code" },
    wish: { name: "phone", kind: "phone", platform: "android arm64", replace: false },
  },
  {
    ...{ name: "uri", mode: "uri" },
    wish: { name: "Zoë’s büro", kind: "", platform: "", replace: false },
  },
  {
    ...{ name: "approved replacement", mode: "uri", replaced: "a".repeat(56) },
    wish: { name: "phone", kind: "phone", platform: "ios arm64", replace: true },
  },
  {
    ...{ name: "code over TCP", mode: "code", isOverTcp: true },
    wish: { name: "laptop", kind: "cli", platform: "linux x64", replace: false },
  },
];

export async function makePairingVectors(): Promise<PairingVectors> {
  const [joiner, gatehouse, other] = await Promise.all([
    vectorJoiner("joiner"),
    vectorGatehouse("gatehouse"),
    vectorGatehouse("another gatehouse"),
  ]);
  const exchanges: Exchange[] = [];
  for (const plan of PLANS) exchanges.push(await runExchange(plan, { joiner, gatehouse }));
  const refused = await refusedCases({ exchanges, joiner, gatehouse, other });
  const { certificate, certificateRequest } = joiner;
  return {
    ...{ about: ABOUT, protocol: "gatehouse-pair/1", now: NOW },
    joiner: { ...installVector(joiner), ...hexed({ certificate, certificateRequest }) },
    gatehouse: {
      ...{ name: gatehouse.name, ...installVector(gatehouse) },
      ...hexed({ certificate: gatehouse.certificate }),
      ...hexed({ authorityScalar: gatehouse.caScalar, authority: gatehouse.caCertificate }),
    },
    exchanges: exchanges.map(exchangeVector),
    refused: refused.map(({ bytes, ...one }) => ({ ...one, bytes: hex(bytes) })),
  };
}

function installVector({ identity, identitySeed, tlsScalar }: Install): Hexed {
  const { spki, publicBinding: tlsBinding } = identity.tls;
  const identityKey = identity.publicKey;
  return {
    deviceId: identity.id,
    ...hexed({ identitySeed, identityKey, tlsScalar, spki, spkiSha256: sha256(spki), tlsBinding }),
  };
}

function exchangeVector({ plan, uri, role, pendingMs, values, messages }: Exchange): ExchangeVector {
  return {
    ...{ name: plan.name, mode: plan.mode },
    ...(uri === undefined ? {} : { uri }),
    wish: plan.wish,
    ...(pendingMs === undefined ? {} : { pendingMs }),
    role,
    values: hexed(values),
    messages: messages.map(({ bytes, ...message }) => ({ ...message, bytes: hex(bytes) })),
  };
}

function hexed(values: Readonly<Record<string, Uint8Array>>): Hexed {
  return Object.fromEntries(Object.entries(values).map(([name, bytes]) => [name, hex(bytes)]));
}
