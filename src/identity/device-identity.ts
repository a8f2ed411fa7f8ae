import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { inspect } from "node:util";
import { GatehouseError, isGatehouseError, type Random } from "../core/index.ts";
import {
  agree,
  agreementPublicKey,
  generateAgreementKey,
  generateSigningKey,
  generateTlsKey,
  LABELS,
  type Label,
  signingPublicKey,
  signLabelled,
  signP256,
  tlsKeyPem,
  tlsPublicKey,
} from "../crypto/index.ts";
import { checkPrivate, createOnce, ensurePrivateDir, readSmallFile } from "../files/index.ts";
import { verifyAgreementBinding, verifyTlsBinding } from "./bindings.ts";
import { type DeviceId, deviceIdOf, fingerprintOf } from "./device-id.ts";
import {
  decodeIdentity,
  encodeIdentity,
  IDENTITY_FILE_BYTES_MAX,
  type IdentityKeys,
} from "./identity-file.ts";

const FILE_NAME = "identity.key";

/** The X25519 key, for sealing things to the device. */
export interface AgreementIdentity {
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array;
  /** The identity key's signature over `publicKey`; see `verifyAgreementBinding`. */
  readonly binding: Uint8Array;
  /** The shared secret with a raw X25519 public key, the caller's to wipe; `undefined` for a bad one. */
  agree(publicKey: Uint8Array): Uint8Array | undefined;
}

/** The P-256 key, for TLS. */
export interface TlsIdentity {
  /** PKCS#8, for the TLS library alone. */
  readonly privateKeyPem: string;
  /** SubjectPublicKeyInfo DER. */
  readonly spki: Uint8Array;
  /** The identity key's signature over `spki`; see `verifyTlsBinding`. */
  readonly publicBinding: Uint8Array;
  /** ECDSA with SHA-256, in DER. */
  sign(message: Uint8Array): Uint8Array;
}

/** Who an install is, made once and for life. Private keys stay inside; printing it shows the id. */
export class DeviceIdentity {
  readonly id: DeviceId;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** SHA-256 of `publicKey`, hex. */
  readonly fingerprint: string;
  readonly agreement: AgreementIdentity;
  readonly tls: TlsIdentity;
  readonly #signing: KeyObject;

  private constructor(keys: IdentityKeys) {
    this.#signing = keys.signing;
    this.publicKey = signingPublicKey(keys.signing);
    this.id = deviceIdOf(this.publicKey);
    this.fingerprint = fingerprintOf(this.publicKey);
    this.agreement = {
      publicKey: agreementPublicKey(keys.agreement),
      binding: keys.agreementBinding,
      agree: (publicKey) => agree(keys.agreement, publicKey),
    };
    this.tls = {
      get privateKeyPem() {
        return tlsKeyPem(keys.tls);
      },
      spki: tlsPublicKey(keys.tls),
      publicBinding: keys.tlsBinding,
      sign: (message) => signP256(keys.tls, message),
    };
  }

  /** A new identity that lives in memory only. */
  static generate(random: Random): DeviceIdentity {
    return new DeviceIdentity(generateKeys(random));
  }

  /**
   * The identity kept in `dir`, made there (0700, file 0600, durable) when there is none. Processes that do this at
   * once all get the same one.
   *
   * @throws identity.damaged naming the file. @throws home.bad-permissions, file.io
   */
  static async openOrCreate(dir: string, { random }: { readonly random: Random }): Promise<DeviceIdentity> {
    await ensurePrivateDir(dir);
    const existing = await read(dir);
    if (existing !== undefined) return new DeviceIdentity(existing);
    const file = encodeIdentity(generateKeys(random));
    try {
      await createOnce(join(dir, FILE_NAME), file);
    } finally {
      file.fill(0);
    }
    // Ours or a quicker process's: what the file says is the identity.
    return await DeviceIdentity.open(dir);
  }

  /**
   * The identity kept in `dir`, every binding verified.
   *
   * @throws home.not-initialized, identity.damaged naming the file. @throws home.bad-permissions, file.io
   */
  static async open(dir: string): Promise<DeviceIdentity> {
    const keys = await read(dir);
    if (keys === undefined) {
      throw new GatehouseError("home.not-initialized", "this home has no identity yet", {
        hint: "run `gatehouse init`, or `gatehouse pair join` to pair with a gatehouse",
      });
    }
    return new DeviceIdentity(keys);
  }

  /** Ed25519 over the label and `message`; 64 bytes. `verifyLabelled` checks it. */
  sign(label: Label, message: Uint8Array): Uint8Array {
    return signLabelled(this.#signing, label, message);
  }

  toString(): string {
    return this.id;
  }

  toJSON(): string {
    return this.id;
  }

  [inspect.custom](): string {
    return `DeviceIdentity ${this.id}`;
  }
}

function generateKeys(random: Random): IdentityKeys {
  const signing = generateSigningKey(random);
  const agreement = generateAgreementKey(random);
  const tls = generateTlsKey(random);
  return {
    signing,
    agreement,
    tls,
    agreementBinding: signLabelled(signing, LABELS.agreementBinding, agreementPublicKey(agreement)),
    tlsBinding: signLabelled(signing, LABELS.tlsBinding, tlsPublicKey(tls)),
  };
}

async function read(dir: string): Promise<IdentityKeys | undefined> {
  const path = join(dir, FILE_NAME);
  let file: Uint8Array;
  try {
    await checkPrivate(path);
    file = await readSmallFile(path, IDENTITY_FILE_BYTES_MAX);
  } catch (failure) {
    if (isGatehouseError(failure, "file.not-found")) return undefined;
    if (isGatehouseError(failure, "file.too-large")) throw damaged(failure);
    throw failure;
  }
  try {
    return verified(decodeIdentity(file));
  } catch (cause) {
    throw damaged(cause);
  } finally {
    file.fill(0);
  }
}

function verified(keys: IdentityKeys): IdentityKeys {
  const identityKey = signingPublicKey(keys.signing);
  const agreementKey = agreementPublicKey(keys.agreement);
  const spki = tlsPublicKey(keys.tls);
  if (!verifyAgreementBinding({ identityKey, agreementKey, signature: keys.agreementBinding })) {
    throw new RangeError("the agreement key is not bound to the identity");
  }
  if (!verifyTlsBinding({ identityKey, spki, signature: keys.tlsBinding })) {
    throw new RangeError("the TLS key is not bound to the identity");
  }
  return keys;
}

function damaged(cause: unknown): GatehouseError {
  return new GatehouseError("identity.damaged", `the identity file ${FILE_NAME} is damaged`, {
    cause,
    hint: `restore identity/${FILE_NAME} from a backup; a new identity would have to pair anew everywhere`,
  });
}
