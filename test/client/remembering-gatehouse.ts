/** A gatehouse without a network that makes changes once for each request id, and processes of a home with calls for it. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as moment } from "node:timers/promises";
import type { Link } from "../../src/client/link/link.ts";
import { Outbox } from "../../src/client/offline/outbox.ts";
import { OutboxFolder } from "../../src/client/offline/outbox-folder.ts";
import { LinkWire } from "../../src/client/offline/outbox-wire.ts";
import { GatehouseError, type Logger, silentLogger } from "../../src/core/index.ts";
import { LABELS } from "../../src/crypto/index.ts";
import { type DeviceId, DeviceIdentity } from "../../src/identity/index.ts";
import { Caller } from "../../src/rpc/index.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import { FakeGatehouse } from "./fake-gatehouse.ts";

const STEP_MS = 10;
const STEPS_MAX = 20_000;

export class RememberingGatehouse extends FakeGatehouse {
  /** Paths of the changes that were made, in order. */
  readonly made: string[] = [];
  /** Request ids of what came to be changed, hex. */
  readonly asked: string[] = [];
  /** The link breaks after so many of the next changes were made, before their answers have left. */
  cutsAfter = 0;
  /** Changes wait for this. */
  gate: Promise<void> = Promise.resolve();
  underWay = 0;
  mostUnderWay = 0;
  readonly #replies = new Map<string, number>();

  protected override async change(path: string, requestId: string): Promise<{ version: number }> {
    this.asked.push(requestId);
    this.underWay += 1;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    await this.gate;
    this.underWay -= 1;
    return { version: this.#change(requestId, path) };
  }

  #change(id: string, path: string): number {
    const before = this.#replies.get(id);
    if (before !== undefined) return before;
    this.made.push(path);
    this.#replies.set(id, this.made.length);
    if (this.cutsAfter > 0) {
      this.cutsAfter -= 1;
      this.connections.at(-1)?.end(new GatehouseError("quic.closed", "the link broke"));
    }
    return this.made.length;
  }

  /** Time goes on, ten times as fast as for the disk, until `awaited` has settled or is so. */
  async passUntil(awaited: Promise<unknown> | (() => boolean | Promise<boolean>)): Promise<void> {
    let isOver = false;
    const over = (): void => {
      isOver = true;
    };
    if (awaited instanceof Promise) void awaited.then(over, over);
    for (let step = 0; step < STEPS_MAX; step += 1) {
      if (typeof awaited === "function") isOver = await awaited();
      if (isOver) return;
      this.clock.advance(STEP_MS);
      await moment(1);
    }
    throw new Error("it never came to that");
  }
}

/** A home with calls that wait for one gatehouse. */
export class OutboxHome {
  readonly dir: string;
  readonly identity: DeviceIdentity;
  readonly gatehouseId: DeviceId;
  #processes = 0;

  constructor(dir: string) {
    const random = new SeededRandom(31);
    this.dir = join(dir, "outbox");
    this.identity = DeviceIdentity.generate(random);
    this.gatehouseId = DeviceIdentity.generate(random).id;
  }

  get folder(): string {
    return join(this.dir, this.gatehouseId);
  }

  async files(): Promise<readonly string[]> {
    const names = await readdir(this.folder).catch((): string[] => []);
    return names.filter((name) => !name.startsWith(".")).sort();
  }

  async setAside(): Promise<readonly string[]> {
    return (await readdir(join(this.folder, ".set-aside")).catch((): string[] => [])).sort();
  }

  /** Of one process; what it says in its log goes to `warned`. */
  process(
    gatehouse: FakeGatehouse,
    link: Link,
    { identity = this.identity, warned = [] as string[] } = {},
  ): Outbox {
    this.#processes += 1;
    const random = new SeededRandom(1_000 + this.#processes);
    const { clock } = gatehouse;
    const { dir, gatehouseId } = this;
    const logger: Logger = { ...silentLogger, warn: (event) => void warned.push(event) };
    const folder = new OutboxFolder({
      ...{ dir, gatehouseId, key: identity.deriveKey(LABELS.outboxKey), clock, random },
    });
    const wire = new LinkWire(link, new Caller({ clock, random }));
    return new Outbox({ folder, wire, clock, random, logger });
  }
}
