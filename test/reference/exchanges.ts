/** The twin on both sides of a vector's exchange, and in front of the real machines. */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { fromHex, utf8 } from "./bytes.ts";
import { selfSigned, TwinAuthority } from "./certificates.ts";
import { type GatehouseInput, TwinGatehouse } from "./gatehouse.ts";
import { deviceId, Identity } from "./identity.ts";
import { type JoinerInput, TwinJoiner } from "./joiner.ts";
import type { Grant, Mode } from "./messages.ts";
import { Refused } from "./refused.ts";
import { createRequest, type TlsKey } from "./request.ts";
import { scalarOf } from "./ristretto255.ts";
import { parseUri } from "./uri.ts";

/** As far as the twin reads test/vectors/pairing.json. */
export interface Vectors {
  readonly now: number;
  readonly joiner: Readonly<Record<string, string>>;
  readonly gatehouse: Readonly<Record<string, string>>;
  readonly exchanges: readonly ExchangeVector[];
  readonly refused: readonly RefusedVector[];
}

export interface ExchangeVector {
  readonly name: string;
  readonly mode: Mode;
  readonly uri?: string;
  readonly wish: {
    readonly name: string;
    readonly kind: string;
    readonly platform: string;
    readonly replace: boolean;
  };
  readonly pendingMs?: number;
  readonly role: string;
  readonly values: Readonly<Record<string, string>>;
  readonly messages: readonly { readonly from: string; readonly what: string; readonly bytes: string }[];
}

export interface RefusedVector {
  readonly name: string;
  readonly exchange: string;
  readonly to: "joiner" | "gatehouse";
  readonly after: number;
  readonly bytes: string;
  readonly code: string;
}

/** The grant that a vector's gatehouse gives, which is in its last message but one. */
export function twins(
  { joiner, gatehouse, now }: Vectors,
  { mode, uri, wish, pendingMs, values }: ExchangeVector,
  grant: Grant,
): { readonly joiner: TwinJoiner; readonly gatehouse: TwinGatehouse } {
  const bytes = (from: Readonly<Record<string, string>>, name: string) => fromHex(from[name] ?? "");
  const exporter = values["tlsExporter"] === undefined ? undefined : bytes(values, "tlsExporter");
  const certificateRequest = bytes(joiner, "certificateRequest");
  const certificates = { joiner: bytes(joiner, "certificate"), gatehouse: bytes(gatehouse, "certificate") };
  return {
    joiner: new TwinJoiner({
      ...{ mode, now },
      secret: uri === undefined ? bytes(values, "secret") : parseUri(uri).secret,
      gatehouseId: uri === undefined ? undefined : parseUri(uri).gatehouseId,
      identity: new Identity(bytes(joiner, "identitySeed")),
      certificate: certificates.joiner,
      peerCertificate: certificates.gatehouse,
      exporter,
      request: { certificateRequest, ...wish },
      nonce: bytes(values, "joinerNonce"),
      scalar: bytes(values, "joinerScalar"),
    }),
    gatehouse: new TwinGatehouse({
      secrets: { [mode]: bytes(values, "secret") },
      identity: new Identity(bytes(gatehouse, "identitySeed")),
      certificate: certificates.gatehouse,
      peerCertificate: certificates.joiner,
      exporter,
      enroll: () => grant,
      ...(pendingMs === undefined ? {} : { pendingMs }),
      nonce: bytes(values, "gatehouseNonce"),
      scalar: bytes(values, "gatehouseScalar"),
    }),
  };
}

/** The code of the `Refused` that `run` throws; `none` when it throws nothing. */
export function refusalOf(run: () => unknown): string {
  try {
    run();
    return "none";
  } catch (failure) {
    if (failure instanceof Refused) return failure.code;
    throw failure;
  }
}

export function newTlsKey(): TlsKey {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  return {
    spki: new Uint8Array(publicKey.export({ format: "der", type: "spki" })),
    sign: (message) => new Uint8Array(sign("sha256", message, privateKey)),
  };
}

const fresh = (): { nonce: Uint8Array; scalar: Uint8Array } => ({
  nonce: Uint8Array.from(randomBytes(32)),
  scalar: scalarOf(Uint8Array.from(randomBytes(64))),
});

/** A phone of the twin's. */
export class TwinPhone {
  readonly identity = new Identity(Uint8Array.from(randomBytes(32)));
  readonly certificate: Uint8Array;
  readonly #request: Uint8Array;
  readonly #now: number;

  constructor(now: number) {
    const tls = newTlsKey();
    this.#now = now;
    this.certificate = selfSigned(tls, now);
    this.#request = createRequest(this.identity, tls);
  }

  join(
    peerCertificate: Uint8Array,
    secret: { readonly code: string } | { readonly uri: string },
  ): TwinJoiner {
    const known: Pick<JoinerInput, "mode" | "secret" | "gatehouseId"> =
      "code" in secret
        ? { mode: "code", secret: utf8(secret.code), gatehouseId: undefined }
        : { mode: "uri", ...parseUri(secret.uri) };
    return new TwinJoiner({
      ...known,
      ...fresh(),
      identity: this.identity,
      certificate: this.certificate,
      peerCertificate,
      request: {
        certificateRequest: this.#request,
        ...{ name: "phone", kind: "phone", platform: "", replace: false },
      },
      now: this.#now,
    });
  }
}

/** A gatehouse of the twin's, with an authority of its own. */
export class TwinHome {
  readonly identity = new Identity(Uint8Array.from(randomBytes(32)));
  readonly certificate: Uint8Array;
  readonly #authority: TwinAuthority;

  constructor(now: number) {
    this.certificate = selfSigned(newTlsKey(), now);
    this.#authority = new TwinAuthority(this.identity.id, newTlsKey(), now);
  }

  meet(
    peerCertificate: Uint8Array,
    input: Pick<GatehouseInput, "secrets"> & { readonly pendingMs?: number },
  ): TwinGatehouse {
    return new TwinGatehouse({
      ...input,
      ...fresh(),
      identity: this.identity,
      certificate: this.certificate,
      peerCertificate,
      enroll: ({ name }, joinerKey, spki) => ({
        certificate: this.#authority.certify(deviceId(joinerKey), spki),
        caCertificates: [this.#authority.certificate],
        deviceId: deviceId(joinerKey),
        ...{ deviceName: name, role: "member", gatehouseName: "twin" },
      }),
    });
  }
}
