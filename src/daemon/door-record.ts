/**
 * What the door shows, and whom it lets in, while the vault is sealed; signed by the gatehouse's identity. Nothing in it is
 * secret, and all of it is made anew whenever the vault is open.
 *
 * | bytes | field |
 * | --- | --- |
 * | 8 | `GHDOOR1\n` |
 * | 4 + n | the gatehouse's own certificate, DER |
 * | 1 | number of authorities |
 * | … | authorities whose leaves are good: 4 + n, DER |
 * | 1 | number of the owner's keys |
 * | … | SHA-256 of the SubjectPublicKeyInfo of each, 32 |
 * | 64 | Ed25519 signature of the identity key over all between the first 8 bytes and it |
 */
import {
  ByteReader,
  ByteWriter,
  copyOf,
  equalBytes,
  GatehouseError,
  isGatehouseError,
  LIMITS,
  utf8,
} from "../core/index.ts";
import { LABELS, verifyLabelled } from "../crypto/index.ts";
import { readSmallFile, writeAtomic } from "../files/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";

const MAGIC = utf8("GHDOOR1\n");
const HASH_BYTES = 32;
const SIGNATURE_BYTES = 64;
const OWNER_KEYS_MAX = 2;

export interface DoorRecord {
  /** DER. */
  readonly serverCertificate: Uint8Array;
  /** DER, newest first; at most `LIMITS.caGenerations`. */
  readonly caCertificates: readonly Uint8Array[];
  /** SHA-256 of the SubjectPublicKeyInfo of the owner's key, and of the one that a renewal certified; at most 2. */
  readonly ownerKeys: readonly Uint8Array[];
}

/** The record at `path`; undefined when the door was never open. @throws boot.damaged, file.io */
export async function readDoorRecord(
  path: string,
  identity: Pick<DeviceIdentity, "publicKey">,
): Promise<DoorRecord | undefined> {
  let file: Uint8Array;
  try {
    file = await readSmallFile(path);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    throw failure;
  }
  try {
    return parse(verified(file, identity));
  } catch (cause) {
    throw new GatehouseError("boot.damaged", `what the sealed door needs is damaged: ${path}`, {
      hint: "start the gatehouse with its key once: it writes the file anew",
      cause,
    });
  }
}

/** Writes the record unless these very bytes are there. @throws file.io */
export async function keepDoorRecord(
  path: string,
  identity: Pick<DeviceIdentity, "sign">,
  record: DoorRecord,
): Promise<void> {
  const body = encode(record);
  const signature = identity.sign(LABELS.doorRecord, body);
  const file = new ByteWriter().raw(MAGIC).raw(body).raw(signature).finish();
  if (!equalBytes(file, await present(path))) await writeAtomic(path, file);
}

async function present(path: string): Promise<Uint8Array> {
  try {
    return await readSmallFile(path);
  } catch {
    return new Uint8Array();
  }
}

function encode({ serverCertificate, caCertificates, ownerKeys }: DoorRecord): Uint8Array {
  const writer = new ByteWriter().prefixed(serverCertificate).u8(caCertificates.length);
  for (const certificate of caCertificates) writer.prefixed(certificate);
  writer.u8(ownerKeys.length);
  for (const key of ownerKeys) writer.raw(key);
  return writer.finish();
}

function verified(file: Uint8Array, { publicKey }: Pick<DeviceIdentity, "publicKey">): Uint8Array {
  const bodyEnd = file.length - SIGNATURE_BYTES;
  if (bodyEnd < MAGIC.length) throw new RangeError("it ends early");
  if (!equalBytes(file.subarray(0, MAGIC.length), MAGIC)) throw new RangeError("not a door record");
  const body = file.subarray(MAGIC.length, bodyEnd);
  if (!verifyLabelled(publicKey, LABELS.doorRecord, body, file.subarray(bodyEnd))) {
    throw new RangeError("not signed by this identity");
  }
  return body;
}

/** The signature says that we wrote it; the shape is checked all the same. */
function parse(body: Uint8Array): DoorRecord {
  const reader = new ByteReader(body);
  const serverCertificate = copyOf(reader.prefixed(LIMITS.certificateBytes));
  const caCertificates = Array.from({ length: within(reader.u8(), LIMITS.caGenerations) }, () =>
    copyOf(reader.prefixed(LIMITS.certificateBytes)),
  );
  const ownerKeys = Array.from({ length: within(reader.u8(), OWNER_KEYS_MAX) }, () =>
    copyOf(reader.raw(HASH_BYTES)),
  );
  reader.end();
  return { serverCertificate, caCertificates, ownerKeys };
}

function within(count: number, most: number): number {
  if (count > most) throw new RangeError(`${count} are more than ${most}`);
  return count;
}
