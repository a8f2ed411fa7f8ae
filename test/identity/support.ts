import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concat, systemRandom } from "../../src/core/index.ts";
import { DeviceIdentity } from "../../src/identity/index.ts";
import { type KeyProvider, keyFileProvider } from "../../src/keystore/index.ts";
import { times } from "../support/effort.ts";

/** Homes for identities, and one place for their keys elsewhere; gone with the test. */
export class Place implements AsyncDisposable {
  readonly root: string;
  readonly keys: KeyProvider;
  #homes = 0;

  private constructor(root: string) {
    this.root = root;
    this.keys = this.keysIn("keys");
  }

  static async make(): Promise<Place> {
    return new Place(await mkdtemp(join(tmpdir(), "gatehouse-identity-")));
  }

  home(): string {
    this.#homes += 1;
    return join(this.root, `home-${this.#homes}`);
  }

  keysIn(name: string): KeyProvider {
    return keyFileProvider({ dir: join(this.root, name), random: systemRandom });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

export function create(dir: string, keys?: KeyProvider): Promise<DeviceIdentity> {
  return DeviceIdentity.openOrCreate(dir, { random: systemRandom, keys });
}

export async function bytesOf(dir: string, name: string): Promise<Uint8Array> {
  return new Uint8Array(await readFile(join(dir, name)));
}

/** Every byte changed in one bit, every shorter length, one byte more, and far too many. */
export function damages(good: Uint8Array): readonly Uint8Array[] {
  const step = times({ short: 5, long: 1 });
  const places = Array.from({ length: Math.ceil(good.length / step) }, (_, index) => index * step);
  return [
    ...places.map((at) => Uint8Array.from(good).fill((good[at] ?? 0) ^ (1 << (at % 8)), at, at + 1)),
    ...places.map((size) => good.subarray(0, size)),
    concat(good, Uint8Array.of(0)),
    new Uint8Array(100_000),
  ];
}

/** Names of the further TLS keys' files. */
export async function ringFiles(dir: string): Promise<readonly string[]> {
  return (await readdir(dir)).filter((name) => name.startsWith("tls-")).sort();
}

export async function overwrite(dir: string, name: string, bytes: Uint8Array): Promise<void> {
  await writeFile(join(dir, name), bytes, { mode: 0o600 });
}
