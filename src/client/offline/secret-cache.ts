/**
 * Copies of secrets that a device was given, for when their gatehouse cannot be reached. Only of those that are asked for
 * so, sealed in the home, few and small, and none older than whoever asks allows.
 *
 * What a gatehouse says always counts for more: a refusal drops the copy before it is told. But it has to be heard: a device
 * that was revoked and is kept off the net has its copies until they are too old.
 */
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import {
  type Clock,
  type ErrorCode,
  GatehouseError,
  isGatehouseError,
  LIMITS,
  type Logger,
  type Random,
  SecretBytes,
  unixMs,
  unmovedCopyOf,
} from "../../core/index.ts";
import {
  checkPrivate,
  ensurePrivateDir,
  listFiles,
  readSmallFile,
  removeFile,
  withUpdateLock,
  writeExpendable,
} from "../../files/index.ts";
import type { DeviceId } from "../../identity/index.ts";
import {
  CACHED_SECRET_OVERHEAD_BYTES,
  type CachedCopy,
  type CachedPlace,
  decodeCopy,
  encodeCopy,
  endIn,
  endOf,
  nameOf,
} from "./secret-cache-format.ts";

const FILE_BYTES_MAX = LIMITS.secretValueBytes + CACHED_SECRET_OVERHEAD_BYTES;
const NOTHING = new Uint8Array();
/** The lock that those take who write. */
const LOCK = ".lock";

/** The gatehouse was not heard. */
const UNREACHED = new Set<ErrorCode>([
  ...(["quic.unreachable", "quic.timed-out", "quic.closed", "rpc.deadline", "rpc.draining"] as const),
]);

/** The gatehouse does not give this secret to this device (any more). */
const REFUSED = new Set<ErrorCode>([
  ...(["authz.denied", "vault.not-found", "vault.version-not-found", "vault.bad-path"] as const),
]);

/**
 * Whoever is refused so is refused everything, and the gatehouse itself has said it. Not what TLS says before the server is
 * verified, such as `certificate.expired`: whoever is on the link could empty the cache with it. No copy is given out then.
 */
const SHUT_OUT = /^device\./;

export interface CachedSecretOptions {
  /** A copy may be so old, milliseconds; more than 0, at most `LIMITS.cachedSecretStaleMs`. */
  readonly maxStaleMs: number;
  /** For asking the gatehouse: a copy is given out after that at the latest. Default `LIMITS.callTimeoutMs`. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Wiped when it is disposed of. */
export interface CachedSecret extends Disposable {
  readonly path: string;
  readonly version: number;
  readonly contentType: string;
  readonly value: SecretBytes;
  /** The gatehouse could not be asked: this is what it said `ageMs` ago. */
  readonly isStale: boolean;
  /** By this machine's clock; 0 when it is not stale. */
  readonly ageMs: number;
}

/** What a gatehouse gives. */
export interface GivenSecret {
  readonly version: number;
  readonly contentType: string;
  readonly value: Uint8Array;
  /** Unix ms; 0: never. */
  readonly expiresAt: number;
}

export interface SecretCacheParts {
  /** `HomeLayout.secretCacheDir`; made when it is needed. */
  readonly dir: string;
  readonly gatehouseId: DeviceId;
  /** From the identity: what lies there is sealed under the first, and named by the second. */
  readonly key: KeyObject;
  readonly nameKey: KeyObject;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** Drops the copies of a gatehouse that this home is done with. @throws file.io */
export async function forgetCachedSecrets(dir: string, gatehouseId: DeviceId): Promise<void> {
  for (const { name } of await listFiles(dir))
    if (name.startsWith(`${gatehouseId}-`)) await removeFile(join(dir, name));
}

export class SecretCache {
  readonly #parts: SecretCacheParts;
  /** Counts refusals: what was given before one is not kept after it. */
  #refusals = 0;
  #writing: Promise<unknown> = Promise.resolve();
  #isSwept = false;
  /** A copy that was to go may still be there. */
  #isUnsure = false;

  constructor(parts: SecretCacheParts) {
    this.#parts = parts;
  }

  /** See `Client.cachedSecret`. `ask` asks the gatehouse. @throws GatehouseError what `ask` throws. @throws RangeError */
  async get(
    path: string,
    options: CachedSecretOptions,
    ask: () => Promise<GivenSecret>,
  ): Promise<CachedSecret> {
    const maxStaleMs = maxStaleOf(options);
    const refusals = this.#refusals;
    let given: GivenSecret;
    try {
      given = await ask();
    } catch (failure) {
      return await this.#without(path, { failure, maxStaleMs });
    }
    const { version, contentType, value } = given;
    try {
      await this.#store(path, { given, maxStaleMs, refusals });
      return lent({ path, version, contentType, isStale: false, ageMs: 0 }, value);
    } finally {
      value.fill(0);
    }
  }

  /** What is left without the gatehouse's word. @throws `failure` when that is nothing */
  async #without(
    path: string,
    { failure, maxStaleMs }: { readonly failure: unknown; readonly maxStaleMs: number },
  ): Promise<CachedSecret> {
    if (!isGatehouseError(failure)) throw failure;
    if (REFUSED.has(failure.code)) await this.#drop(path);
    else if (SHUT_OUT.test(failure.code)) await this.#dropAll();
    if (!UNREACHED.has(failure.code) || this.#isUnsure) throw failure;
    await this.#writing;
    const copy = await this.#quietly("read", () => this.#read(path));
    if (copy === undefined) throw failure;
    try {
      if (!this.#isGood(copy, maxStaleMs)) throw failure;
      const ageMs = Math.max(0, this.#parts.clock.now() - copy.givenAt);
      const { version, contentType } = copy;
      return lent({ path, version, contentType, isStale: true, ageMs }, copy.value);
    } finally {
      copy.value.fill(0);
    }
  }

  /** A clock that went back would make a copy younger than it is. */
  #isGood(copy: CachedCopy, maxStaleMs: number): boolean {
    const now = this.#parts.clock.now();
    const ageMs = now - copy.givenAt;
    return ageMs >= -LIMITS.clockStepMs && ageMs <= maxStaleMs && now < endOf(copy);
  }

  /** Undefined when there is none. @throws home.bad-permissions, file.io */
  async #read(path: string): Promise<CachedCopy | undefined> {
    const { dir, key } = this.#parts;
    const place = this.#placeOf(path);
    await checkPrivate(dir);
    const bytes = await readSmallFile(this.#fileOf(path), FILE_BYTES_MAX);
    return decodeCopy(bytes, place, key);
  }

  async #store(
    path: string,
    { given, maxStaleMs, refusals }: { given: GivenSecret; maxStaleMs: number; refusals: number },
  ): Promise<void> {
    const { clock } = this.#parts;
    const copy: CachedCopy = {
      ...{ givenAt: clock.now(), maxStaleMs, version: given.version, contentType: given.contentType },
      ...{ value: given.value, expiresAt: given.expiresAt === 0 ? undefined : unixMs(given.expiresAt) },
    };
    await this.#alone("write", async () => {
      if (refusals === this.#refusals) await this.#write(path, copy);
    });
  }

  async #write(path: string, copy: CachedCopy): Promise<void> {
    const { dir } = this.#parts;
    const file = this.#fileOf(path);
    const bytes = encodeCopy(copy, this.#placeOf(path), this.#parts);
    await ensurePrivateDir(dir);
    await withUpdateLock(join(dir, LOCK), async () => {
      await this.#sweep();
      await this.#makeRoom(bytes.length, file);
      // One that is too large for all of them is not kept, and neither is what was there before.
      if (bytes.length > LIMITS.cachedSecretsBytes) await removeFile(file);
      else await writeExpendable(file, bytes);
    });
  }

  /** Once: what is no good to anybody any more. */
  async #sweep(): Promise<void> {
    if (this.#isSwept) return;
    this.#isSwept = true;
    const { dir, clock } = this.#parts;
    for (const { name } of await listFiles(dir)) {
      const end = endIn(await readSmallFile(join(dir, name), FILE_BYTES_MAX).catch(() => NOTHING));
      if (end === undefined || end <= clock.now()) await removeFile(join(dir, name));
    }
  }

  /** Those written first go. */
  async #makeRoom(sizeBytes: number, except: string): Promise<void> {
    const { dir } = this.#parts;
    const others = (await listFiles(dir)).filter(({ name }) => join(dir, name) !== except);
    let count = others.length + 1;
    let totalBytes = others.reduce((sum, other) => sum + other.sizeBytes, sizeBytes);
    for (const other of others.toSorted((a, b) => a.writtenAtMs - b.writtenAtMs)) {
      if (count <= LIMITS.cachedSecrets && totalBytes <= LIMITS.cachedSecretsBytes) return;
      await removeFile(join(dir, other.name));
      count -= 1;
      totalBytes -= other.sizeBytes;
    }
  }

  /** Gone from the disk before the refusal is told. */
  async #drop(path: string): Promise<void> {
    await this.#dropWith(() => removeFile(this.#fileOf(path)));
  }

  async #dropAll(): Promise<void> {
    const { dir, gatehouseId } = this.#parts;
    await this.#dropWith(() => forgetCachedSecrets(dir, gatehouseId));
  }

  async #dropWith(remove: () => Promise<void>): Promise<void> {
    this.#refusals += 1;
    this.#isUnsure = true;
    const isGone = await this.#alone("drop", async () => {
      await remove();
      return true;
    });
    this.#isUnsure = isGone !== true;
  }

  /** One after the other: a copy that is being written is not written after it was dropped. */
  async #alone<Result>(step: string, work: () => Promise<Result>): Promise<Result | undefined> {
    const turn = this.#writing.then(() => this.#quietly(step, work));
    this.#writing = turn;
    return await turn;
  }

  /** A disk that fails keeps nobody from a secret that the gatehouse gave, nor from hearing why it did not. */
  async #quietly<Result>(step: string, work: () => Promise<Result>): Promise<Result | undefined> {
    try {
      return await work();
    } catch (failure) {
      if (isGatehouseError(failure, "file.not-found")) return undefined;
      const code = failure instanceof GatehouseError ? failure.code : "unknown";
      this.#parts.logger.warn("secret-cache-unavailable", { step, code });
      return undefined;
    }
  }

  #placeOf(path: string): CachedPlace {
    return { gatehouseId: this.#parts.gatehouseId, path };
  }

  #fileOf(path: string): string {
    return join(this.#parts.dir, nameOf(this.#placeOf(path), this.#parts.nameKey));
  }
}

/** Copies the value. */
function lent(facts: Omit<CachedSecret, "value" | typeof Symbol.dispose>, value: Uint8Array): CachedSecret {
  const own = new SecretBytes(unmovedCopyOf(value));
  return { ...facts, value: own, [Symbol.dispose]: () => own[Symbol.dispose]() };
}

function maxStaleOf({ maxStaleMs }: CachedSecretOptions): number {
  if (maxStaleMs > 0 && maxStaleMs <= LIMITS.cachedSecretStaleMs) return Math.floor(maxStaleMs);
  throw new RangeError(
    `cachedSecret: maxStaleMs must be above 0 and at most ${LIMITS.cachedSecretStaleMs}, not ${maxStaleMs}`,
  );
}
