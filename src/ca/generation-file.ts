import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { checkCaCertificate, createCaCertificate, spkiOf } from "../certs/index.ts";
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
import { checkPrivate, createOnce, readSmallFile } from "../files/index.ts";
import type { DeviceId } from "../identity/index.ts";

/**
 * One generation's file, `generation-N`, sealed whole by `KeyCodec`:
 *
 * | bytes | field |
 * | --- | --- |
 * | 4 | N |
 * | 4 + n | certificate, DER |
 * | 4 + n | private key, PKCS#8 DER |
 */
const FILE_NAME = /^generation-([1-9][0-9]{0,8})$/;

/** Seals the authority's keys for the disk; `open` answers undefined for what it did not seal. */
export interface KeyCodec {
  seal(bytes: Uint8Array): Uint8Array;
  open(bytes: Uint8Array): Uint8Array | undefined;
}

export interface GenerationKeys {
  readonly number: number;
  /** DER; always the same object, so that what was learned of it is known of it. */
  readonly certificate: Uint8Array;
  readonly key: KeyObject;
}

export interface GenerationFileOptions {
  /** How long leaves are good; default `LIMITS.certificateLifetimeMs`. */
  readonly leafLifetimeMs?: number | undefined;
  readonly gatehouseId: DeviceId;
  readonly codec: KeyCodec;
  readonly random: Random;
  readonly clock: Clock;
}

/** N, for a file that is named like a generation's. */
export function generationOf(name: string): number | undefined {
  const digits = FILE_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Makes a generation, durable when it settles; one that is there already stays. */
export async function createGeneration(
  dir: string,
  number: number,
  options: GenerationFileOptions,
): Promise<void> {
  const { gatehouseId, codec, random, clock } = options;
  const key = generateTlsKey(random);
  const input = { key, gatehouseId, generation: number, now: clock.now(), random };
  const certificate = await createCaCertificate(input);
  const pkcs8 = exportTlsKey(key);
  const file = new ByteWriter().u32(number).prefixed(certificate).prefixed(pkcs8).finish();
  try {
    await createOnce(join(dir, `generation-${number}`), codec.seal(file));
  } finally {
    pkcs8.fill(0);
    file.fill(0);
  }
}

/** @throws file.not-found, ca.damaged naming the file, home.bad-permissions, file.io */
export async function readGeneration(
  dir: string,
  number: number,
  { gatehouseId, codec }: GenerationFileOptions,
): Promise<GenerationKeys> {
  const name = `generation-${number}`;
  const path = join(dir, name);
  await checkPrivate(path);
  const file = codec.open(await readSealed(path, name));
  if (file === undefined) throw damaged(name);
  try {
    return decode(file, number, gatehouseId);
  } catch (cause) {
    throw damaged(name, cause);
  } finally {
    file.fill(0);
  }
}

async function readSealed(path: string, name: string): Promise<Uint8Array> {
  try {
    return await readSmallFile(path);
  } catch (failure) {
    if (isGatehouseError(failure, "file.too-large")) throw damaged(name, failure);
    throw failure;
  }
}

/** @throws MalformedBytes, RangeError, certificate.* unless the certificate is this gatehouse's, for this key */
function decode(file: Uint8Array, number: number, gatehouseId: DeviceId): GenerationKeys {
  const reader = new ByteReader(file);
  if (reader.u32() !== number) throw new RangeError("it is another generation's");
  const certificate = copyOf(reader.prefixed(LIMITS.certificateBytes));
  const key = importTlsKey(reader.prefixed(LIMITS.certificateBytes));
  reader.end();
  checkCaCertificate(certificate, gatehouseId);
  if (!equalBytes(spkiOf(certificate), tlsPublicKey(key))) {
    throw new RangeError("the certificate is for another key");
  }
  return { number, certificate, key };
}

export function damaged(name: string, cause?: unknown): GatehouseError<"ca.damaged"> {
  return new GatehouseError(
    "ca.damaged",
    `the authority's file ${name} is damaged, or sealed by another vault`,
    { hint: `restore ca/${name} from a backup of this home`, cause },
  );
}
