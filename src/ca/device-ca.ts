import { join } from "node:path";
import {
  certificateFacts,
  certificatePem,
  createRevocationList,
  type IssuedLeaf,
  issueLeaf,
  type RevokedCertificate,
  type TlsRequest,
} from "../certs/index.ts";
import { GatehouseError, invariant, isGatehouseError, LIMITS, type UnixMs, unixMs } from "../core/index.ts";
import { ensurePrivateDir, listNames, removeFile } from "../files/index.ts";
import type { DeviceId } from "../identity/index.ts";
import {
  createGeneration,
  damaged,
  type GenerationFileOptions,
  type GenerationKeys,
  generationOf,
  readGeneration,
} from "./generation-file.ts";

export type DeviceCaOptions = GenerationFileOptions;

/**
 * Generations take turns by the calendar alone. A new one is `introduced`: it certifies devices from the start, while the
 * gatehouse itself still shows a leaf of the old one, since devices learn of the new one when they renew. When every leaf of
 * the old one has run out, the new one is `serving` and the old one `retired`.
 */
export interface CaGeneration {
  readonly number: number;
  /** DER. */
  readonly certificate: Uint8Array;
  readonly state: "introduced" | "serving" | "retired";
  readonly createdAt: UnixMs;
  readonly expiresAt: UnixMs;
  /** When its state changes by itself. */
  readonly changesAt: UnixMs | undefined;
}

export interface IssuedByGeneration extends IssuedLeaf {
  readonly generation: number;
}

export interface RevokedOfGeneration extends RevokedCertificate {
  readonly generation: number;
}

interface Known extends GenerationKeys {
  readonly createdAt: UnixMs;
  readonly expiresAt: UnixMs;
}

/** The device authority of one gatehouse. Its keys leave this object only sealed. */
export class DeviceCa {
  readonly #dir: string;
  readonly #options: DeviceCaOptions;
  /** Newest first; never empty. */
  #known: readonly Known[];
  /** The latest that the clock has shown: one that is set back brings nothing back. */
  #latest: number;

  private constructor(dir: string, options: DeviceCaOptions, known: readonly Known[]) {
    this.#dir = dir;
    this.#options = options;
    this.#known = known;
    this.#latest = options.clock.now();
  }

  /** The authority kept in `dir`, made there when there is none. @throws ca.damaged, home.bad-permissions, file.io */
  static async openOrCreate(dir: string, options: DeviceCaOptions): Promise<DeviceCa> {
    await ensurePrivateDir(dir);
    try {
      return await DeviceCa.open(dir, options);
    } catch (failure) {
      if (!isGatehouseError(failure, "file.not-found")) throw failure;
    }
    await createGeneration(dir, 1, options);
    return await DeviceCa.open(dir, options);
  }

  /** @throws file.not-found, ca.damaged naming the file, home.bad-permissions, file.io */
  static async open(dir: string, options: DeviceCaOptions): Promise<DeviceCa> {
    return new DeviceCa(dir, options, await readAll(dir, options));
  }

  /** Newest first. */
  get generations(): readonly CaGeneration[] {
    const serving = this.#serving();
    return this.#known.map((known) => {
      const { number, certificate, createdAt, expiresAt } = known;
      const state =
        number === serving.number ? "serving" : number > serving.number ? "introduced" : "retired";
      return { number, certificate, createdAt, expiresAt, state, changesAt: this.#changeOf(known, serving) };
    });
  }

  /** Authorities whose leaves are good, newest first; DER, the same objects each time. */
  get certificatesDer(): readonly Uint8Array[] {
    const serving = this.#serving();
    return this.#known.filter(({ number }) => number >= serving.number).map(({ certificate }) => certificate);
  }

  get certificatesPem(): string {
    return this.certificatesDer.map(certificatePem).join("");
  }

  /** Retired ones too. */
  get knownCertificatesDer(): readonly Uint8Array[] {
    return this.#known.map(({ certificate }) => certificate);
  }

  /** Makes the next generation, durable when it settles. @throws ca.rotating while an earlier one is being introduced */
  async rotate(): Promise<void> {
    const serving = this.#serving();
    const newest = this.#newest();
    if (newest.number !== serving.number) {
      const until = new Date(this.#takesOverAt(newest)).toISOString();
      throw new GatehouseError("ca.rotating", `generation ${newest.number} is being introduced already`, {
        hint: `devices learn of it when they renew; rotate again after ${until}`,
      });
    }
    await createGeneration(this.#dir, newest.number + 1, this.#options);
    this.#known = await readAll(this.#dir, this.#options);
    for (const { number } of this.#known.slice(LIMITS.caGenerations)) {
      await removeFile(join(this.#dir, `generation-${number}`));
    }
    this.#known = this.#known.slice(0, LIMITS.caGenerations);
  }

  /** Certifies the key of a checked request, for calling this gatehouse. */
  issueDevice({ deviceId, spki }: Pick<TlsRequest, "deviceId" | "spki">): Promise<IssuedByGeneration> {
    return this.#issue("device", this.#newest(), { deviceId, spki });
  }

  /** Certifies the gatehouse's own TLS key, for being called. */
  issueServer(spki: Uint8Array): Promise<IssuedByGeneration> {
    return this.#issue("server", this.#serving(), { deviceId: this.#options.gatehouseId, spki });
  }

  /** One list of each generation, newest first; DER. `number` never falls. */
  revocationLists(revoked: readonly RevokedOfGeneration[], number: number): Promise<readonly Uint8Array[]> {
    const now = this.#options.clock.now();
    const lists = this.#known.map(({ certificate: caCertificate, key: caKey, number: generation }) => {
      const own = revoked.filter((entry) => entry.generation === generation);
      return createRevocationList({ caCertificate, caKey, revoked: own, number, now });
    });
    return Promise.all(lists);
  }

  async #issue(
    usage: "device" | "server",
    { certificate: caCertificate, key: caKey, number: generation }: Known,
    subject: { readonly deviceId: DeviceId; readonly spki: Uint8Array },
  ): Promise<IssuedByGeneration> {
    const { gatehouseId, clock, random } = this.#options;
    const authority = { caCertificate, caKey };
    const leaf = await issueLeaf({
      ...{ usage, gatehouseId, now: clock.now(), random, lifetimeMs: this.#leafLifetimeMs },
      ...subject,
      ...authority,
    });
    return { ...leaf, generation };
  }

  get #leafLifetimeMs(): number {
    return this.#options.leafLifetimeMs ?? LIMITS.certificateLifetimeMs;
  }

  /** Before that, some device may hold a leaf of the generation before and know of no other. */
  #takesOverAt({ number, createdAt }: Known): number {
    if (number === 1) return Number.NEGATIVE_INFINITY;
    // The default counts too: leaves from before a shorter life was chosen.
    const lifetimeMs = Math.max(this.#leafLifetimeMs, LIMITS.certificateLifetimeMs);
    return createdAt + lifetimeMs + LIMITS.caOverlapSlackMs;
  }

  #newest(): Known {
    const [newest] = this.#known;
    invariant(newest !== undefined, "an authority has a generation");
    return newest;
  }

  /** The newest that has been there for long enough; else the oldest there is. */
  #serving(): Known {
    this.#latest = Math.max(this.#latest, this.#options.clock.now());
    const ready = this.#known.find((known) => this.#latest >= this.#takesOverAt(known));
    return ready ?? this.#known.at(-1) ?? this.#newest();
  }

  #changeOf(known: Known, serving: Known): UnixMs | undefined {
    const newest = this.#newest();
    if (newest.number === serving.number || known.number < serving.number) return undefined;
    return unixMs(this.#takesOverAt(newest));
  }
}

/** Newest first. @throws file.not-found when there is none; ca.damaged, also for a hole between two */
async function readAll(dir: string, options: DeviceCaOptions): Promise<readonly Known[]> {
  const numbers = (await listNames(dir)).flatMap((name) => generationOf(name) ?? []).sort((a, b) => b - a);
  if (numbers.length === 0) throw new GatehouseError("file.not-found", "there is no authority here");
  const hole = numbers.find((number, index) => index > 0 && number !== (numbers[index - 1] ?? 0) - 1);
  if (hole !== undefined) throw damaged(`generation-${hole + 1}`);
  return await Promise.all(
    numbers.map(async (number) => {
      const keys = await readGeneration(dir, number, options);
      const { notBefore, expiresAt } = certificateFacts(keys.certificate);
      return { ...keys, createdAt: unixMs(notBefore + LIMITS.certificateBackdateMs), expiresAt };
    }),
  );
}
