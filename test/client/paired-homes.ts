/** Gatehouses in this process, and homes that are paired with them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAddress } from "../../src/client/address.ts";
import { type Client, connect, type Device, joinGatehouse, METHODS } from "../../src/client/index.ts";
import { Resources, silentLogger, systemClock, systemRandom } from "../../src/core/index.ts";
import { Daemon } from "../../src/daemon/index.ts";

const effects = { clock: systemClock, random: systemRandom, logger: silentLogger };

export class PairedHomes implements AsyncDisposable {
  readonly dir: string;
  readonly #resources = new Resources();

  private constructor(dir: string) {
    this.dir = dir;
    this.#resources.defer(() => rm(dir, { recursive: true, force: true }));
  }

  static async create(): Promise<PairedHomes> {
    return new PairedHomes(await mkdtemp(join(tmpdir(), "gatehouse-paired-")));
  }

  home(name: string): string {
    return join(this.dir, name);
  }

  /** A gatehouse called `name`; on a free port of its own unless one is given. */
  async serve(name: string, port = 0): Promise<Daemon> {
    const daemon = await Daemon.start({
      ...{ ...effects, home: this.home(name), keyDir: join(this.dir, "keys"), version: "0.0.0", pid: 1 },
      listen: [{ host: "127.0.0.1", port }],
      init: { name },
    });
    return this.#resources.use(daemon);
  }

  /** Ends a gatehouse and starts it again where it was. */
  async restart(name: string, daemon: Daemon): Promise<Daemon> {
    const { port } = parseAddress(daemon.ready.quic);
    await daemon[Symbol.asyncDispose]();
    return await this.serve(name, port);
  }

  /** Pairs the home `name` with a gatehouse by code. */
  async pair(daemon: Daemon, name: string, role = "member"): Promise<void> {
    const events = daemon.openPairing({ role }, new AbortController().signal)[Symbol.asyncIterator]();
    const { value } = await events.next();
    if (value?.kind !== "opened") throw new Error("the window did not open");
    await joinGatehouse({
      ...{ home: this.home(name), target: daemon.ready.quic, code: value.code, name },
      ...{ kind: "test", platform: "test" },
    });
    while ((await events.next()).done !== true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }
}

/** One connection and one call on it, as a command of the command line makes them. */
export async function command(
  home: string | Device,
  on?: string,
): Promise<{ readonly handshake: Client["handshake"] }> {
  await using client = await (typeof home === "string" ? connect({ home, on }) : home.connect({ on }));
  await client.call(METHODS.Health.Ping, {});
  return { handshake: client.handshake };
}
