/**
 * What the main thread and its watchdog share, in the machine's own byte order:
 *
 * | offset | bytes | field |
 * | --- | --- | --- |
 * | 0 | 4 | beats: counts up while the main thread is alive |
 * | 4 | 4 | turns: counts up whenever the next two change |
 * | 8 | 4 | 1 while a device's connection is being handled, else 0 |
 * | 12 | 56 | that device's id, ASCII |
 */
import type { DeviceId } from "../identity/index.ts";

const BEATS = 0;
const TURNS = 1;
const IS_DEVICE = 2;
const ID_OFFSET = 12;
const ID_BYTES = 56;

export function createWatchdogMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(ID_OFFSET + ID_BYTES);
}

/** What the watchdog sees at one moment. */
export interface Sight {
  readonly beats: number;
  readonly turns: number;
  /** Canonical text, unchecked; undefined when no admitted device's connection is being handled. */
  readonly device: string | undefined;
}

export function lookAt(memory: SharedArrayBuffer): Sight {
  const words = new Int32Array(memory, 0, 3);
  const isDevice = Atomics.load(words, IS_DEVICE) === 1;
  const id = Buffer.from(new Uint8Array(memory, ID_OFFSET, ID_BYTES)).toString("latin1");
  return {
    beats: Atomics.load(words, BEATS),
    turns: Atomics.load(words, TURNS),
    device: isDevice ? id : undefined,
  };
}

/**
 * The main thread's end of the memory: shows that it is alive, and whose connection it is working on. A connection
 * whose device is not known is nobody's: what freezes the door before it is admitted is blamed on no device.
 */
export class Spotlight<Connection extends object> {
  readonly #words: Int32Array;
  readonly #id: Uint8Array;
  /** Ids as they are written, encoded once. */
  readonly #devices = new WeakMap<Connection, Uint8Array>();
  #current: Connection | undefined;
  /** What was looked up last: most turns are about the connection of the one before, and a look-up costs 20 ns. */
  #last: Connection | undefined;
  #lastId: Uint8Array | undefined;
  /** What the memory holds. */
  #written: Uint8Array | undefined;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, 3);
    this.#id = new Uint8Array(memory, ID_OFFSET, ID_BYTES);
  }

  beat(): void {
    Atomics.add(this.#words, BEATS, 1);
  }

  /** From here on `connection` is being handled, or nothing is. */
  show(connection: Connection | undefined): void {
    if (connection === this.#current) return;
    this.#current = connection;
    this.#publish(connection === undefined ? undefined : this.#idOf(connection));
  }

  /** `connection` was admitted as `device`: often in the middle of a turn, whose rest is then the device's already. */
  name(connection: Connection, device: DeviceId): void {
    const id = Buffer.from(device, "latin1");
    this.#devices.set(connection, id);
    if (this.#last === connection) this.#last = undefined;
    if (this.#current === connection) this.#publish(id);
  }

  #idOf(connection: Connection): Uint8Array | undefined {
    if (connection !== this.#last) {
      this.#last = connection;
      this.#lastId = this.#devices.get(connection);
    }
    return this.#lastId;
  }

  #publish(id: Uint8Array | undefined): void {
    if (id !== undefined && id !== this.#written) {
      this.#id.set(id);
      this.#written = id;
    }
    Atomics.store(this.#words, IS_DEVICE, id === undefined ? 0 : 1);
    Atomics.add(this.#words, TURNS, 1);
  }
}
