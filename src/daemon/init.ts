import type { AuditLog } from "../audit/index.ts";
import { DeviceCa } from "../ca/index.ts";
import { createTlsRequest } from "../certs/index.ts";
import { GatehouseError, Resources } from "../core/index.ts";
import { sha256 } from "../crypto/index.ts";
import { ensurePrivateDir, type HomeLayout, homeLayout, lockHome } from "../files/index.ts";
import type { DeviceIdentity } from "../identity/index.ts";
import type { KeyProvider } from "../keystore/index.ts";
import type { Vault } from "../vault/index.ts";
import { type BootRecord, readBootRecord, writeBootRecord } from "./boot-record.ts";
import { caKeyCodec } from "./ca-key-codec.ts";
import { keepDoorRecord } from "./door-record.ts";
import { enrollment } from "./enrollment.ts";
import { openServingIdentity } from "./home-identity.ts";
import { writeOwnerCertificate } from "./owner-files.ts";
import { makeRecoverable } from "./recovery.ts";
import { type Effects, openStorage } from "./storage.ts";

export interface InitOptions extends Effects {
  /** The install's directory. */
  readonly home: string;
  /** Where key-encryption keys lie; outside of the home. */
  readonly keyDir: string;
  /** What opens the vault; default a key file in `keyDir`. */
  readonly kek?: KeyProvider | undefined;
  /** What people call this gatehouse; 1 to 64 bytes. */
  readonly name: string;
  /** How long the first certificates are good; default `LIMITS.certificateLifetimeMs`. */
  readonly leafLifetimeMs?: number | undefined;
  /** Public half of the recovery key, 32 bytes; there is none when left out. */
  readonly recipient?: Uint8Array | undefined;
}

export interface InitSummary {
  readonly name: string;
  readonly deviceId: string;
  readonly fingerprint: string;
}

/**
 * Makes a gatehouse of `home`: identity, vault, authority, owner. The boot record comes last and is what makes the home
 * count as initialized; a run that was cut short is simply run again.
 * @throws home.already-initialized, home.in-use, home.bad-permissions, file.io
 */
export async function initHome(options: InitOptions): Promise<InitSummary> {
  const layout = homeLayout(options.home);
  await ensurePrivateDir(layout.root);
  await using resources = new Resources();
  resources.use(await lockHome(layout.lockFile));
  const identity = await openServingIdentity(layout, "create", options);
  if ((await readBootRecord(layout.bootFile, identity)) !== undefined) {
    throw new GatehouseError("home.already-initialized", `a gatehouse lives in ${layout.root} already`, {
      hint: "start it with: gatehouse serve",
    });
  }
  await makeGatehouse(layout, identity, options);
  return { name: options.name, deviceId: identity.id, fingerprint: identity.fingerprint };
}

/** Leaves all that a sealed start needs, too. The caller holds the home's lock. */
export async function makeGatehouse(
  layout: HomeLayout,
  identity: DeviceIdentity,
  options: InitOptions,
): Promise<BootRecord> {
  const { name, clock, random, leafLifetimeMs } = options;
  await using resources = new Resources();
  const { vault, audit } = await openStorage(layout, { ...options, mode: "create" }, options, resources);
  await makeRecoverable({ layout, identity, vault }, options);
  const codec = caKeyCodec(vault);
  const gatehouseId = identity.id;
  const ca = await DeviceCa.openOrCreate(layout.caDir, {
    ...{ gatehouseId, random, clock, codec, leafLifetimeMs },
  });
  const owner = await enrollOwner({ identity, ca, vault, audit }, options);
  await writeOwnerCertificate(layout, { gatehouseName: name, ...owner });
  await keepFirstDoorRecord(layout, identity, ca);
  const [caCertificate = new Uint8Array(0)] = ca.certificatesDer;
  const record: BootRecord = { name, ownerId: identity.id, caCertificate, revocationEpoch: 0 };
  await writeBootRecord(layout.bootFile, identity, record);
  return record;
}

/** The home's own command line is the first owner: the gatehouse's own identity, as a client. */
async function enrollOwner(
  parts: { identity: DeviceIdentity; ca: DeviceCa; vault: Vault; audit: AuditLog },
  { name, clock }: InitOptions,
) {
  const enroll = enrollment({ ...parts, clock });
  const certificateRequest = await createTlsRequest(parts.identity);
  const identityKey = parts.identity.publicKey;
  const self = { kind: "cli", platform: "", role: "owner", name, replaces: undefined };
  const { certificate, caCertificates } = await enroll({ ...self, certificateRequest, identityKey });
  return { certificate, caCertificates };
}

/** A vault that only people open may never be open at the start of a daemon. */
async function keepFirstDoorRecord(
  { doorFile }: HomeLayout,
  identity: DeviceIdentity,
  ca: DeviceCa,
): Promise<void> {
  const { spki } = identity.tls;
  const { der: serverCertificate } = await ca.issueServer(spki);
  const caCertificates = ca.certificatesDer;
  await keepDoorRecord(doorFile, identity, { serverCertificate, caCertificates, ownerKeys: [sha256(spki)] });
}
