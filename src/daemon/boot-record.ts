/**
 * What must be readable while the vault is sealed, signed by the gatehouse's identity so that nobody edits it.
 *
 * | bytes | field |
 * | --- | --- |
 * | 8 | `GHBOOT1\n` |
 * | 4 + n | JSON document, UTF-8 |
 * | 64 | Ed25519 signature of the identity key over the document |
 */
import {
  ByteReader,
  ByteWriter,
  equalBytes,
  fromUtf8,
  GatehouseError,
  isGatehouseError,
  LIMITS,
  utf8,
} from "../core/index.ts";
import { LABELS, verifyLabelled } from "../crypto/index.ts";
import { readSmallFile, writeAtomic } from "../files/index.ts";
import { type DeviceId, type DeviceIdentity, parseDeviceId } from "../identity/index.ts";

const MAGIC = utf8("GHBOOT1\n");
const SIGNATURE_BYTES = 64;

export interface BootRecord {
  /** What people call this gatehouse. */
  readonly name: string;
  /** The owner pinned at `init`: this home's own command line. */
  readonly ownerId: DeviceId;
  /** DER of the newest authority. */
  readonly caCertificate: Uint8Array;
  /** Counts up with each revocation and restore. */
  readonly revocationEpoch: number;
}

/** The record at `path`; undefined when the home was never initialized. @throws boot.damaged */
export async function readBootRecord(
  path: string,
  identity: Pick<DeviceIdentity, "publicKey">,
): Promise<BootRecord | undefined> {
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
    throw new GatehouseError("boot.damaged", `the boot record is damaged: ${path}`, {
      hint: "restore the file from a backup of this home",
      cause,
    });
  }
}

export async function writeBootRecord(
  path: string,
  identity: DeviceIdentity,
  record: BootRecord,
): Promise<void> {
  const caCertificate = Buffer.from(record.caCertificate).toString("base64");
  const document = utf8(JSON.stringify({ ...record, caCertificate }));
  const signature = identity.sign(LABELS.bootRecord, document);
  await writeAtomic(path, new ByteWriter().raw(MAGIC).prefixed(document).raw(signature).finish());
}

function verified(file: Uint8Array, identity: Pick<DeviceIdentity, "publicKey">): Uint8Array {
  const reader = new ByteReader(file);
  if (!equalBytes(reader.raw(MAGIC.length), MAGIC)) throw new RangeError("not a boot record");
  const document = reader.prefixed(LIMITS.smallFileBytes);
  const signature = reader.raw(SIGNATURE_BYTES);
  reader.end();
  if (!verifyLabelled(identity.publicKey, LABELS.bootRecord, document, signature)) {
    throw new RangeError("not signed by this identity");
  }
  return document;
}

/** The signature says that we wrote it; the shape is checked all the same. */
function parse(document: Uint8Array): BootRecord {
  const fields: unknown = JSON.parse(fromUtf8(document));
  if (typeof fields !== "object" || fields === null) throw new RangeError("not an object");
  const { name, ownerId, caCertificate, revocationEpoch } = fields as Readonly<Record<string, unknown>>;
  if (typeof name !== "string" || typeof ownerId !== "string") throw new RangeError("name or owner missing");
  if (typeof caCertificate !== "string" || typeof revocationEpoch !== "number")
    throw new RangeError("fields missing");
  const der = new Uint8Array(Buffer.from(caCertificate, "base64"));
  return { name, ownerId: parseDeviceId(ownerId), caCertificate: der, revocationEpoch };
}
