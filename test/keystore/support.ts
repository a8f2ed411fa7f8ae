import type { KeyObject } from "node:crypto";
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hex } from "../../src/core/index.ts";

export const ID = "00112233445566778899aabbccddeeff";
export const KEY_HEX = `${"8f".repeat(31)}0a`;
export const KEY = new Uint8Array(Buffer.from(KEY_HEX, "hex"));

/** A folder that goes with the test. */
export class Place implements AsyncDisposable {
  readonly root: string;

  private constructor(root: string) {
    this.root = root;
  }

  static async make(): Promise<Place> {
    return new Place(await mkdtemp(join(tmpdir(), "gatehouse-keystore-")));
  }

  path(name: string): string {
    return join(this.root, name);
  }

  async write(name: string, bytes: Uint8Array | string): Promise<string> {
    await writeFile(this.path(name), bytes, { mode: 0o600 });
    return this.path(name);
  }

  async program(name: string, ...lines: readonly string[]): Promise<string> {
    const path = await this.write(name, ["#!/bin/sh", ...lines, ""].join("\n"));
    await chmod(path, 0o700);
    return path;
  }

  /** Every file below, joined. */
  async contents(): Promise<Buffer> {
    const entries = await readdir(this.root, { recursive: true, withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile());
    return Buffer.concat(await Promise.all(files.map((file) => readFile(join(file.parentPath, file.name)))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.root, { recursive: true, force: true });
  }
}

export function keyHex(key: KeyObject): string {
  return hex(key.export());
}

/** What an answer of the provider shows of itself when it goes wrong: everything that could reach a log. */
export async function shown(work: Promise<unknown>): Promise<string> {
  const failure: unknown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(failure instanceof Error)) throw new Error("it did not fail");
  return [failure.message, failure.stack, JSON.stringify(failure), String(failure.cause)].join("\n");
}
