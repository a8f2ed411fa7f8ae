import type { KeyObject } from "node:crypto";
import { resolve } from "node:path";
import { inspect } from "node:util";
import { equalBytes, invariant, type Random, systemRandom } from "../core/index.ts";
import { agree, agreementPublicKey, type Label, signingPublicKey, signLabelled } from "../crypto/index.ts";
import type { KeyProvider } from "../keystore/index.ts";
import { type DeviceId, deviceIdOf, fingerprintOf } from "./device-id.ts";
import {
  copyInMemory,
  copyOwner,
  forgetTlsKey,
  generateIdentity,
  type IdentityHome,
  keepCopy,
  type OpenedIdentity,
  openIdentity,
  openOrCreateIdentity,
  restoreIdentity,
} from "./identity-home.ts";
import { sealKindOf } from "./identity-store.ts";
import type { TlsIdentity } from "./tls-identity.ts";
import { derivedFrom } from "./tls-key-file.ts";
import { addToRing, findInRing, type TlsRing } from "./tls-ring.ts";

/** The X25519 key, for sealing things to the device. */
export interface AgreementIdentity {
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array;
  /** The identity key's signature over `publicKey`; see `verifyAgreementBinding`. */
  readonly binding: Uint8Array;
  /** The shared secret with a raw X25519 public key, the caller's to wipe; `undefined` for a bad one. */
  agree(publicKey: Uint8Array): Uint8Array | undefined;
}

/** What everybody may know of an identity. */
export interface IdentityFacts {
  readonly id: DeviceId;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
}

export interface OpenIdentityOptions {
  /** Gives the key that the identity file is sealed under; a file that lies open is sealed with it. */
  readonly keys?: KeyProvider | undefined;
  readonly random?: Random;
}

/**
 * Who an install is, made once and for life. Private keys stay inside; printing it shows the id. Its TLS keys alone
 * change: while a new one is brought into use, certificates for the one before still hold.
 */
export class DeviceIdentity {
  readonly id: DeviceId;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** SHA-256 of `publicKey`, hex. */
  readonly fingerprint: string;
  readonly agreement: AgreementIdentity;
  readonly #signing: KeyObject;
  readonly #home: IdentityHome | undefined;
  #ring: TlsRing;
  /** Changes of the TLS keys follow one another. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor({ keys, home, ring }: OpenedIdentity) {
    this.#signing = keys.signing;
    this.#home = home;
    this.#ring = ring;
    this.publicKey = signingPublicKey(keys.signing);
    this.id = deviceIdOf(this.publicKey);
    this.fingerprint = fingerprintOf(this.publicKey);
    this.agreement = {
      publicKey: agreementPublicKey(keys.agreement),
      binding: keys.agreementBinding,
      agree: (publicKey) => agree(keys.agreement, publicKey),
    };
  }

  /** A new identity that lives in memory only. */
  static generate(random: Random): DeviceIdentity {
    return new DeviceIdentity(generateIdentity(random));
  }

  /**
   * The identity kept in `dir`, made there (0700, file 0600, durable) when there is none. Processes that do this at
   * once all get the same one.
   *
   * @throws as `open`, but for home.not-initialized
   */
  static async openOrCreate(
    dir: string,
    { random, keys }: OpenIdentityOptions & { readonly random: Random },
  ): Promise<DeviceIdentity> {
    return new DeviceIdentity(await openOrCreateIdentity(dir, { provider: keys, random }));
  }

  /**
   * The identity kept in `dir`, every binding verified. With `keys`, a file that lies open is replaced by a sealed
   * one, under a key that the provider has given back once; what was in it may still be on the disk's free space.
   *
   * @throws home.not-initialized, identity.damaged naming the file. @throws home.bad-permissions, file.io
   * @throws key.missing naming the provider's kind, key.wrong, and what else the provider throws; nothing was changed
   */
  static async open(
    dir: string,
    { keys, random = systemRandom }: OpenIdentityOptions = {},
  ): Promise<DeviceIdentity> {
    return new DeviceIdentity(await openIdentity(dir, { provider: keys, random }));
  }

  /**
   * Kind of the key provider that the identity in `dir` is sealed with, to know which one to open it with;
   * `undefined` when it lies open or there is none.
   *
   * @throws identity.damaged, home.bad-permissions, file.io
   */
  static async sealedBy(dir: string): Promise<string | undefined> {
    return await sealKindOf(dir);
  }

  /**
   * The identity in `dir` from its copy `name`, which `from` opens, put back as the identity file, sealed under a key
   * that `keys` makes.
   *
   * @throws file.not-found without such a copy, and as `open`; nothing was changed then
   */
  static async restore(
    dir: string,
    name: string,
    options: { readonly from: KeyProvider; readonly keys: KeyProvider; readonly random: Random },
  ): Promise<DeviceIdentity> {
    const { from, keys: provider, random } = options;
    return new DeviceIdentity(await restoreIdentity(dir, name, { from, provider, random }));
  }

  /** Whose copy `name` in `dir` is, which `from` opens; changes nothing. @throws as `restore` */
  static async peek(dir: string, name: string, from: KeyProvider): Promise<IdentityFacts> {
    const publicKey = await copyOwner(dir, name, from);
    return { id: deviceIdOf(publicKey), publicKey };
  }

  /** The newest TLS key. Certificates may still be for an older one: see `tlsFor`. */
  get tls(): TlsIdentity {
    const [newest] = this.#ring;
    invariant(newest !== undefined, "an identity has a TLS key");
    return newest.identity;
  }

  /** Newest first. */
  get tlsKeys(): readonly TlsIdentity[] {
    return this.#ring.map(({ identity }) => identity);
  }

  /** The TLS key with this SubjectPublicKeyInfo (DER), or this SHA-256 of it, if the identity has it. */
  tlsFor(key: Uint8Array): TlsIdentity | undefined {
    return findInRing(this.#ring, key)?.identity;
  }

  /**
   * Makes another TLS key in `dir` (file 0600, sealed, durable on return), from then on the newest. A crash before a
   * certificate for it is there costs a key that nothing uses. Other processes see it when they open the identity.
   *
   * @throws file.io. @throws RangeError with sixteen keys there, or when the identity was not opened from `dir`.
   */
  async addTlsKey(
    dir: string,
    { random = systemRandom }: { readonly random?: Random } = {},
  ): Promise<TlsIdentity> {
    this.#homeIn(dir);
    return await this.#inTurn(async () => {
      this.#ring = await addToRing(dir, this.#ring, { signing: this.#signing, random });
      return this.tls;
    });
  }

  /**
   * Forgets the TLS key with this SHA-256 of its SubjectPublicKeyInfo, in memory and in `dir`, durable on return;
   * nothing happens when there is no such key.
   *
   * @throws file.io, and as `open`. @throws RangeError for the last key, or when the identity was not opened from `dir`.
   */
  async dropTlsKey(
    dir: string,
    spkiSha256: Uint8Array,
    { random = systemRandom }: { readonly random?: Random } = {},
  ): Promise<void> {
    const home = this.#homeIn(dir);
    await this.#inTurn(async () => {
      const dropped = findInRing(this.#ring, spkiSha256);
      if (dropped === undefined) return;
      const change = { ring: this.#ring, dropped, publicKey: this.publicKey };
      this.#ring = await forgetTlsKey(home, change, random);
    });
  }

  /**
   * `dropTlsKey` for every key but the newest and those with these SHA-256s. They must be all that anybody needs who
   * uses this home, a gatehouse's own daemon included.
   *
   * @throws as `dropTlsKey`
   */
  async dropTlsKeysBut(
    dir: string,
    neededSpkiSha256: readonly Uint8Array[],
    options: { readonly random?: Random } = {},
  ): Promise<void> {
    const [, ...older] = this.tlsKeys;
    for (const { spkiSha256 } of older) {
      if (neededSpkiSha256.some((needed) => equalBytes(needed, spkiSha256))) continue;
      await this.dropTlsKey(dir, spkiSha256, options);
    }
  }

  /**
   * Keeps a copy of the identity in `dir` for whoever holds the keys that `keys` makes; durable on return.
   *
   * @param name `recovery-`, 16 hex digits, `.key`. @throws as `dropTlsKey`
   */
  async keepCopy(
    dir: string,
    name: string,
    { keys, random }: { readonly keys: KeyProvider; readonly random: Random },
  ): Promise<void> {
    await keepCopy(this.#homeIn(dir), name, { provider: keys, random });
  }

  /** The bytes that `keepCopy` would write. @throws as `dropTlsKey` */
  async copyFor(
    dir: string,
    { keys, random }: { readonly keys: KeyProvider; readonly random: Random },
  ): Promise<Uint8Array> {
    return await copyInMemory(this.#homeIn(dir), { provider: keys, random });
  }

  /** Ed25519 over the label and `message`; 64 bytes. `verifyLabelled` checks it. */
  sign(label: Label, message: Uint8Array): Uint8Array {
    return signLabelled(this.#signing, label, message);
  }

  /** A key for one purpose: whoever can open the identity can have it, and nobody else. */
  deriveKey(label: Label): KeyObject {
    return derivedFrom(this.#signing, label);
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

  #homeIn(dir: string): IdentityHome {
    if (this.#home !== undefined && resolve(this.#home.dir) === resolve(dir)) return this.#home;
    throw new RangeError("identity: it was not opened from that folder");
  }

  async #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return await result;
  }
}
