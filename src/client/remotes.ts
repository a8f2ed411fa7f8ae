/**
 * The gatehouses a home has paired with, in `remotes.json`. Everything in it is public or a pin; the private keys stay in
 * `identity/`. Changed by atomic rename, so that commands may run beside each other.
 */
import { dirname } from "node:path";
import { GatehouseError, isGatehouseError, LIMITS, type UnixMs, unixMs, utf8 } from "../core/index.ts";
import {
  checkPrivate,
  type HomeLayout,
  homeLayout,
  readSmallFile,
  withUpdateLock,
  writeAtomic,
} from "../files/index.ts";
import { type DeviceId, deviceIdOf, isDeviceId } from "../identity/index.ts";
import { parseAddress } from "./address.ts";
import { openHomeIdentity } from "./home-identity.ts";
import { forgetTickets } from "./link/tickets.ts";
import { forgetOutbox } from "./offline/outbox-folder.ts";
import { forgetCachedSecrets } from "./offline/secret-cache.ts";
import { dropSpareKeys } from "./renewal/spare-keys.ts";

export interface Remote {
  /** Unique in this home. */
  readonly name: string;
  readonly gatehouseId: DeviceId;
  /** Raw Ed25519 key of the gatehouse, proven at pairing. */
  readonly identityKey: Uint8Array;
  /** HOST:PORT. */
  readonly address: string;
  /** Where it serves gRPC, HOST:PORT, or `off`; default `address`, on TCP. */
  readonly grpc?: string | undefined;
  /** It serves gRPC alone. */
  readonly quic?: "off" | undefined;
  /** DER of the authorities that may certify this gatehouse. */
  readonly caCertificates: readonly Uint8Array[];
  /** This device's certificate there, DER. */
  readonly certificate: Uint8Array;
  /** What the gatehouse calls this device, and its role there. */
  readonly deviceName: string;
  readonly role: string;
  readonly pairedAt: UnixMs;
  readonly certificateExpiresAt: UnixMs;
  /** The gatehouse's clock less this machine's, milliseconds, when it was last heard. */
  readonly lastSkewMs?: number | undefined;
  /** A renewal that was asked for, and whose answer is not stored yet. */
  readonly renewal?: RenewalWish | undefined;
}

/** Kept until the answer is: it is asked for again in the same words, and the gatehouse answers the same. */
export interface RenewalWish {
  /** 16 bytes. */
  readonly requestId: Uint8Array;
  /** 32 bytes. */
  readonly nonce: Uint8Array;
  /** PKCS#10, DER. */
  readonly certificateRequest: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo that is to be certified. */
  readonly spkiSha256: Uint8Array;
  readonly askedAt: UnixMs;
}

/** No control, format or unassigned characters, no line or paragraph separators. */
const NAME = /^(?!\s)[^\p{C}\p{Zl}\p{Zp}]+(?<!\s)$/u;

interface Document {
  readonly default: string | undefined;
  readonly remotes: readonly Remote[];
}

export class Remotes {
  readonly #path: string;
  readonly #layout: HomeLayout;

  private constructor(layout: HomeLayout) {
    this.#path = layout.remotesFile;
    this.#layout = layout;
  }

  /** Of the install at `home`. Reads nothing yet. */
  static of(home: string): Remotes {
    return new Remotes(homeLayout(home));
  }

  /** In the order they were paired. @throws home.bad-permissions, file.damaged, like everything here */
  async list(): Promise<readonly (Remote & { readonly isDefault: boolean })[]> {
    const document = await this.#read();
    const standard = defaultOf(document);
    return document.remotes.map((remote) => ({ ...remote, isDefault: remote.name === standard }));
  }

  /**
   * The gatehouse of that name (or id); without one the default, or the only one.
   * @throws remote.none, remote.not-found, remote.ambiguous
   */
  async resolve(on?: string): Promise<Remote> {
    const document = await this.#read();
    if (on !== undefined) return known(document, on);
    const standard = defaultOf(document);
    if (standard !== undefined) return known(document, standard);
    if (document.remotes.length > 1) {
      throw new GatehouseError(
        "remote.ambiguous",
        `this home is paired with ${document.remotes.length} gatehouses`,
        {
          hint: "name one with --on NAME, or choose one for good: gatehouse remote default NAME",
        },
      );
    }
    throw new GatehouseError("remote.none", "this home is not paired with any gatehouse", {
      hint: "pair it first: gatehouse pair join HOST:PORT",
    });
  }

  /** Adds what pairing yielded; the same gatehouse again replaces its entry. Another one of that name gets a suffix. */
  add(remote: Remote): Promise<Remote> {
    return this.#update(({ remotes, default: standard }) => {
      const others = remotes.filter(({ gatehouseId }) => gatehouseId !== remote.gatehouseId);
      if (others.length >= LIMITS.remotes) {
        throw new GatehouseError("remote.ambiguous", `this home knows ${LIMITS.remotes} gatehouses already`, {
          hint: "leave one with: gatehouse remote rm NAME",
        });
      }
      const before = remotes.find(({ gatehouseId }) => gatehouseId === remote.gatehouseId);
      const added = { ...remote, name: freeName(fitName(remote), others) };
      // What was the default stays it under whatever name: no other gatehouse may slip into its place.
      const chosen = standard !== undefined && standard === before?.name ? added.name : standard;
      return { document: { remotes: [...others, added], default: chosen }, result: added };
    });
  }

  /** A gatehouse that moved, or that is to be called otherwise here. @throws remote.not-found, remote.name-taken, usage.bad-argument */
  async set(
    on: string,
    { address, grpc, name }: { readonly address?: string; readonly grpc?: string; readonly name?: string },
  ): Promise<Remote> {
    if (address !== undefined) parseAddress(address);
    if (grpc !== undefined && grpc !== "off") parseAddress(grpc);
    if (name !== undefined) checkName(name);
    return await this.#update((document) => {
      const before = known(document, on);
      const own = { address: address ?? before.address, grpc: grpc ?? before.grpc };
      const after = { ...before, ...own, name: name ?? before.name };
      const isTaken = document.remotes.some(
        (other) => other.name === after.name && other.gatehouseId !== before.gatehouseId,
      );
      if (isTaken) {
        throw new GatehouseError("remote.name-taken", `another gatehouse is called ${after.name} here`, {
          hint: "choose another name, or rename that one first",
        });
      }
      const standard = document.default === before.name ? after.name : document.default;
      return { document: { default: standard, remotes: replaced(document, after) }, result: after };
    });
  }

  /** @throws remote.not-found */
  setDefault(on: string): Promise<Remote> {
    return this.#update((document) => {
      const chosen = known(document, on);
      return { document: { ...document, default: chosen.name }, result: chosen };
    });
  }

  /**
   * Forgets a gatehouse, its tickets, the calls that wait for it, copies of its secrets, and the TLS key that was for it alone; what it knows of this device is its owner's to
   * revoke. @throws remote.not-found
   */
  async remove(on: string): Promise<Remote> {
    const gone = await this.#update((document) => {
      const result = known(document, on);
      const remotes = document.remotes.filter(({ name }) => name !== result.name);
      const standard = document.default === result.name ? undefined : document.default;
      return { document: { remotes, default: standard }, result };
    });
    await forgetTickets(this.#layout.ticketsDir, gone.gatehouseId);
    await forgetCachedSecrets(this.#layout.secretCacheDir, gone.gatehouseId);
    await forgetOutbox(this.#layout.outboxDir, gone.gatehouseId);
    await this.#dropSpareKeys();
    return gone;
  }

  /** What a renewal asks for and yields. Answers the entry as it is then. @throws remote.not-found */
  change(gatehouseId: DeviceId, change: (remote: Remote) => Remote): Promise<Remote> {
    return this.#update((document) => {
      const result = change(known(document, gatehouseId));
      return { document: { ...document, remotes: replaced(document, result) }, result };
    });
  }

  /** Reads, changes and writes with no other process in between. */
  #update<Result>(
    change: (document: Document) => { readonly document: Document; readonly result: Result },
  ): Promise<Result> {
    return withUpdateLock(`${this.#path}.lock`, async () => {
      const { document, result } = change(await this.#read());
      await this.#write(document);
      return result;
    });
  }

  /** A key too many harms nobody, and an identity that does not open is for others to say. */
  async #dropSpareKeys(): Promise<void> {
    try {
      const identity = await openHomeIdentity(this.#layout);
      await dropSpareKeys(this.#layout, identity, (await this.#read()).remotes);
    } catch {
      // The gatehouse is forgotten in any case.
    }
  }

  async #read(): Promise<Document> {
    let bytes: Uint8Array;
    try {
      // Who can write here decides whom this home trusts.
      await checkPrivate(dirname(this.#path));
      await checkPrivate(this.#path);
      bytes = await readSmallFile(this.#path);
    } catch (failure) {
      if (isGatehouseError(failure, "file.not-found")) return { default: undefined, remotes: [] };
      throw failure;
    }
    try {
      return parseDocument(JSON.parse(Buffer.from(bytes).toString("utf8")));
    } catch (cause) {
      throw new GatehouseError("file.damaged", `the list of gatehouses is damaged: ${this.#path}`, {
        hint: "restore the file from a backup, or move it away and pair again",
        cause,
      });
    }
  }

  async #write({ default: standard, remotes }: Document): Promise<void> {
    const document = { version: 1, default: standard, remotes: remotes.map(toJson) };
    await writeAtomic(this.#path, Buffer.from(`${JSON.stringify(document, undefined, 2)}\n`));
  }
}

/** A gatehouse chooses its own name: what has the shape of an id never means one. */
function known({ remotes }: Document, on: string): Remote {
  const found = remotes.find(({ name, gatehouseId }) => (isDeviceId(on) ? gatehouseId : name) === on);
  if (found !== undefined) return found;
  throw new GatehouseError("remote.not-found", `this home knows no gatehouse called ${JSON.stringify(on)}`, {
    hint: "list them with: gatehouse remote ls",
  });
}

/** Its own, if it is fit for one; otherwise from its id. */
function fitName({ name, gatehouseId }: Remote): string {
  return isFitName(name) ? name : `gatehouse-${gatehouseId.substring(0, 8)}`;
}

/** What one is called is typed, and printed; ids name gatehouses already. */
function isFitName(name: string): boolean {
  return NAME.test(name) && utf8(name).length <= LIMITS.deviceNameBytes && !isDeviceId(name);
}

/** @throws usage.bad-argument */
function checkName(name: string): void {
  if (isFitName(name)) return;
  throw new GatehouseError(
    "usage.bad-argument",
    `not a name for a gatehouse: ${JSON.stringify(name.slice(0, 80))}`,
    {
      hint: `a name has 1 to ${LIMITS.deviceNameBytes} bytes, all of them printable, without blanks at its ends`,
    },
  );
}

function replaced({ remotes }: Document, by: Remote): readonly Remote[] {
  return remotes.map((remote) => (remote.gatehouseId === by.gatehouseId ? by : remote));
}

function defaultOf({ default: chosen, remotes }: Document): string | undefined {
  const [only, ...more] = remotes;
  return chosen ?? (more.length === 0 ? only?.name : undefined);
}

function freeName(wanted: string, others: readonly Remote[]): string {
  const taken = new Set(others.map(({ name }) => name));
  let name = wanted;
  for (let suffix = 2; taken.has(name); suffix += 1) name = `${wanted}-${suffix}`;
  return name;
}

function toJson({ renewal, ...remote }: Remote) {
  return {
    ...remote,
    renewal: renewal && {
      requestId: toBase64(renewal.requestId),
      nonce: toBase64(renewal.nonce),
      certificateRequest: toBase64(renewal.certificateRequest),
      spkiSha256: toBase64(renewal.spkiSha256),
      askedAt: renewal.askedAt,
    },
    identityKey: toBase64(remote.identityKey),
    certificate: toBase64(remote.certificate),
    caCertificates: remote.caCertificates.map(toBase64),
  };
}

function parseDocument(value: unknown): Document {
  const { version, default: standard, remotes } = objectOf(value);
  if (version !== 1 || !Array.isArray(remotes)) throw new RangeError("not a list of gatehouses");
  if (standard !== undefined && typeof standard !== "string") throw new RangeError("default is not a name");
  return { default: standard, remotes: remotes.map(parseRemote) };
}

function parseRemote(value: unknown): Remote {
  const fields = objectOf(value);
  const text = (name: string): string => {
    const field = fields[name];
    if (typeof field !== "string") throw new RangeError(`${name} is missing`);
    return field;
  };
  const gatehouseId = text("gatehouseId");
  const { caCertificates, pairedAt, certificateExpiresAt } = fields;
  if (!isDeviceId(gatehouseId)) throw new RangeError("not a gatehouse's id");
  if (!Array.isArray(caCertificates)) throw new RangeError("caCertificates is missing");
  if (typeof pairedAt !== "number" || typeof certificateExpiresAt !== "number")
    throw new RangeError("dates are missing");
  const identityKey = fromBase64(text("identityKey"));
  if (deviceIdOf(identityKey) !== gatehouseId) throw new RangeError("the pinned key is not the gatehouse's");
  return {
    ...{
      name: text("name"),
      gatehouseId,
      address: text("address"),
      deviceName: text("deviceName"),
      role: text("role"),
    },
    identityKey,
    certificate: fromBase64(text("certificate")),
    caCertificates: caCertificates.map((entry: unknown) =>
      fromBase64(typeof entry === "string" ? entry : ""),
    ),
    pairedAt: unixMs(pairedAt),
    certificateExpiresAt: unixMs(certificateExpiresAt),
    ...(typeof fields["lastSkewMs"] === "number" ? { lastSkewMs: fields["lastSkewMs"] } : {}),
    ...(typeof fields["grpc"] === "string" ? { grpc: fields["grpc"] } : {}),
    ...(fields["quic"] === "off" ? { quic: "off" as const } : {}),
    ...(fields["renewal"] === undefined ? {} : { renewal: parseWish(fields["renewal"]) }),
  };
}

function parseWish(value: unknown): RenewalWish {
  const fields = objectOf(value);
  const bytes = (name: string): Uint8Array => {
    const field = fields[name];
    return fromBase64(typeof field === "string" ? field : "");
  };
  const { askedAt } = fields;
  if (typeof askedAt !== "number") throw new RangeError("askedAt is missing");
  return {
    ...{ requestId: bytes("requestId"), nonce: bytes("nonce"), askedAt: unixMs(askedAt) },
    ...{ certificateRequest: bytes("certificateRequest"), spkiSha256: bytes("spkiSha256") },
  };
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new RangeError("not an object");
  return value as Readonly<Record<string, unknown>>;
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function fromBase64(text: string): Uint8Array {
  const bytes = Buffer.from(text, "base64");
  if (bytes.length === 0) throw new RangeError("empty or not base64");
  return new Uint8Array(bytes);
}
