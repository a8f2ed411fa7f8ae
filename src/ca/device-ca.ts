import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import {
  certificatePem,
  checkCaCertificate,
  createCaCertificate,
  type IssuedLeaf,
  issueLeaf,
  spkiOf,
  type TlsRequest,
} from "../certs/index.ts";
import {
  ByteReader,
  ByteWriter,
  type Clock,
  copyOf,
  equalBytes,
  GatehouseError,
  isGatehouseError,
  LIMITS,
  type Random,
} from "../core/index.ts";
import { exportTlsKey, generateTlsKey, importTlsKey, tlsPublicKey } from "../crypto/index.ts";
import { checkPrivate, createOnce, ensurePrivateDir, readSmallFile } from "../files/index.ts";
import type { DeviceId } from "../identity/index.ts";

/**
 * The authority's file `generation-1`, sealed whole by `KeyCodec`:
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 + n | certificate, DER |
 * | 4 + n | private key, PKCS#8 DER |
 */
const FILE_NAME = "generation-1";
const GENERATION = 1;

/** Seals the authority's key for the disk; `open` answers undefined for what it did not seal. */
export interface KeyCodec {
  seal(bytes: Uint8Array): Uint8Array;
  open(bytes: Uint8Array): Uint8Array | undefined;
}

export interface DeviceCaOptions {
  readonly gatehouseId: DeviceId;
  readonly codec: KeyCodec;
  readonly random: Random;
  readonly clock: Clock;
}

/** The device authority of one gatehouse. Its key leaves this object only sealed. */
export class DeviceCa {
  readonly #options: DeviceCaOptions;
  readonly #certificate: Uint8Array;
  readonly #key: KeyObject;

  private constructor(options: DeviceCaOptions, parts: { certificate: Uint8Array; key: KeyObject }) {
    this.#options = options;
    this.#certificate = parts.certificate;
    this.#key = parts.key;
  }

  /** The authority kept in `dir`, made there when there is none. @throws ca.damaged, home.bad-permissions, file.io */
  static async openOrCreate(dir: string, options: DeviceCaOptions): Promise<DeviceCa> {
    await ensurePrivateDir(dir);
    try {
      return await DeviceCa.open(dir, options);
    } catch (failure) {
      if (!isGatehouseError(failure, "file.not-found")) throw failure;
    }
    await create(join(dir, FILE_NAME), options);
    return await DeviceCa.open(dir, options);
  }

  /** @throws file.not-found, ca.damaged naming the file, home.bad-permissions, file.io */
  static async open(dir: string, options: DeviceCaOptions): Promise<DeviceCa> {
    const path = join(dir, FILE_NAME);
    await checkPrivate(path);
    const file = options.codec.open(await readSealed(path));
    if (file === undefined) throw damaged();
    try {
      return new DeviceCa(options, decode(file, options.gatehouseId));
    } catch (cause) {
      throw damaged(cause);
    } finally {
      file.fill(0);
    }
  }

  /** Authorities whose leaves are good, newest first; DER. */
  get certificatesDer(): readonly Uint8Array[] {
    return [this.#certificate];
  }

  get certificatesPem(): string {
    return this.certificatesDer.map(certificatePem).join("");
  }

  /** Certifies the key of a checked request, for calling this gatehouse. */
  issueDevice({ deviceId, spki }: Pick<TlsRequest, "deviceId" | "spki">): Promise<IssuedLeaf> {
    return this.#issue("device", deviceId, spki);
  }

  /** Certifies the gatehouse's own TLS key, for being called. */
  issueServer(spki: Uint8Array): Promise<IssuedLeaf> {
    return this.#issue("server", this.#options.gatehouseId, spki);
  }

  #issue(usage: "device" | "server", deviceId: DeviceId, spki: Uint8Array): Promise<IssuedLeaf> {
    const { gatehouseId, clock, random } = this.#options;
    const authority = { caCertificate: this.#certificate, caKey: this.#key };
    return issueLeaf({ usage, deviceId, spki, gatehouseId, now: clock.now(), random, ...authority });
  }
}

async function create(path: string, { gatehouseId, codec, random, clock }: DeviceCaOptions): Promise<void> {
  const key = generateTlsKey(random);
  const input = { key, gatehouseId, generation: GENERATION, now: clock.now(), random };
  const certificate = await createCaCertificate(input);
  const pkcs8 = exportTlsKey(key);
  const file = new ByteWriter().prefixed(certificate).prefixed(pkcs8).finish();
  try {
    await createOnce(path, codec.seal(file));
  } finally {
    pkcs8.fill(0);
    file.fill(0);
  }
}

async function readSealed(path: string): Promise<Uint8Array> {
  try {
    return await readSmallFile(path);
  } catch (failure) {
    if (isGatehouseError(failure, "file.too-large")) throw damaged(failure);
    throw failure;
  }
}

/** @throws MalformedBytes, RangeError, certificate.* unless the certificate is this gatehouse's, for this key */
function decode(file: Uint8Array, gatehouseId: DeviceId): { certificate: Uint8Array; key: KeyObject } {
  const reader = new ByteReader(file);
  const certificate = copyOf(reader.prefixed(LIMITS.certificateBytes));
  const key = importTlsKey(reader.prefixed(LIMITS.certificateBytes));
  reader.end();
  checkCaCertificate(certificate, gatehouseId);
  if (!equalBytes(spkiOf(certificate), tlsPublicKey(key))) {
    throw new RangeError("the certificate is for another key");
  }
  return { certificate, key };
}

function damaged(cause?: unknown): GatehouseError<"ca.damaged"> {
  return new GatehouseError(
    "ca.damaged",
    `the authority's file ${FILE_NAME} is damaged, or sealed by another vault`,
    {
      hint: `restore ca/${FILE_NAME} from a backup of this home`,
      cause,
    },
  );
}
