/**
 * A small fixed life of a vault in ROOT, one thing after the other, whatever becomes of its system calls: `life` makes it,
 * `return` opens one that was left with work to do. A JSON line for each thing asked, each answer, each warning in the log, and
 * at the end the vault's state.
 */
import crypto from "node:crypto";
import { writeSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import type { Logger } from "../../../src/core/index.ts";
import { keyFileProvider } from "../../../src/vault/index.ts";
import { SeededRandom } from "../../support/seeded-random.ts";
import type { Opened, Step } from "../disk-model.ts";
import { givenKey, Ledger, openTortured, outcomeOf } from "../disk-vault.ts";

const [root = "", part = "life", lastId = "0"] = process.argv.slice(2);

// Names of temporary files come from here: in each run the same, so that strace can be told them.
let names = 0;
const counted = (length: number): Buffer => {
  names += 1;
  return Buffer.alloc(length, names);
};
Object.assign(crypto, { randomBytes: counted });
syncBuiltinESMExports();

const puts = (...paths: readonly string[]): readonly Step[] => paths.map((path) => ({ what: "put", path }));

const ledger = new Ledger((note) => say({ note }), Number(lastId));
const random = new SeededRandom(Number(lastId) + 1);
const kek = keyFileProvider({ dir: join(root, "keys"), random });

async function live(opened: Opened): Promise<void> {
  const { vault } = opened;
  await ask(opened, puts("a", "a", "b/c"));
  await tell("add-key", () => vault.keys.addSlot(givenKey, 0));
  await ask(opened, [{ what: "remove", path: "b/c" }, ...puts("d", "b/c"), { what: "destroy", path: "a" }]);
  await ask(opened, puts("a", "e"));
  await tell("checkpoint", () => opened.vault.store.checkpoint());
  await ask(opened, puts("d"));
}

async function comeBack(opened: Opened): Promise<void> {
  await ask(opened, [...puts("a", "f"), { what: "destroy", path: "d" }, ...puts("f")]);
}

async function ask(opened: Opened, steps: readonly Step[]): Promise<void> {
  for (const step of steps) await ledger.ask(opened, step);
}

async function tell(what: string, work: () => Promise<unknown>): Promise<void> {
  const outcome = await outcomeOf(work);
  if (outcome !== "done") say({ failed: what, code: outcome });
}

function say(line: object): void {
  // Straight to the pipe: an answer that is printed was given.
  writeSync(1, `${JSON.stringify(line)}\n`);
}

const logged = (event: string): void => say({ logged: event });
const logger: Logger = { debug: () => undefined, info: () => undefined, warn: logged, error: logged };

await tell("open", async () => {
  const opened = await openTortured(root, { kek, random, logger });
  await (part === "life" ? live(opened) : comeBack(opened));
  say({ state: opened.vault.state });
  await tell("close", async () => await opened[Symbol.asyncDispose]());
});
say({ ended: true });
