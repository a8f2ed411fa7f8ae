import { createSecretKey, type KeyObject } from "node:crypto";
import { platform as systemPlatform } from "node:process";
import { type Clock, concat, GatehouseError, type Random, utf8 } from "../core/index.ts";
import { equalSecrets } from "../crypto/index.ts";
import { type ChildOutcome, runChild } from "./child.ts";
import { DEFAULT_ENVIRONMENT } from "./command.ts";
import { checkKeyId, KEY_BYTES, type KeyProvider, type ProvidedKey } from "./key-provider.ts";
import { formatKey, KEY_TEXT_BYTES_MAX, parseKey } from "./key-text.ts";

/** Long enough for somebody to unlock the keyring when it asks. */
const TIMEOUT_MS = 60_000;
/** `security` says things of its own when it stores. */
const STDOUT_BYTES_MAX = 4_096;

export interface KeyringOptions {
  readonly random: Random;
  /**
   * All that the keyring's tool gets of the environment: it needs `DBUS_SESSION_BUS_ADDRESS`, `XDG_RUNTIME_DIR` and
   * `HOME` of the user's session beside PATH.
   */
  readonly environment?: Readonly<Record<string, string>>;
  readonly platform?: NodeJS.Platform;
  readonly clock?: Clock;
}

/**
 * Keys in the user's keyring, as hex digits: of the Secret Service on Linux (by libsecret's `secret-tool`), of the
 * login keychain on macOS (by `security`). The key passes through pipes, never through arguments.
 *
 * Both methods throw GatehouseError `key.missing` (not there, or the keyring does not answer), `key.wrong` (what is
 * there is no key), `key.unsupported` (no such tool on this machine); `create` throws `file.exists`.
 */
export function keyringProvider({
  random,
  platform = systemPlatform,
  ...options
}: KeyringOptions): KeyProvider {
  const toolOf = (id: string): Keyring => {
    checkKeyId(id);
    const tool = TOOLS[platform];
    if (tool === undefined) throw unsupported("this system has no keyring that gatehouse knows");
    return new Keyring(tool, id, options);
  };
  return {
    kind: "keyring",
    async create(id): Promise<ProvidedKey> {
      const keyring = toolOf(id);
      const existing = await keyring.find();
      existing?.fill(0);
      if (existing !== undefined) throw exists();
      const key = random.bytes(KEY_BYTES);
      try {
        await keyring.store(key);
        return { key: createSecretKey(key), parameters: new Uint8Array() };
      } finally {
        key.fill(0);
      }
    },
    async load(id): Promise<KeyObject> {
      const key = await toolOf(id).find();
      if (key === undefined) throw missing(`the keyring has no key ${id}`);
      try {
        return createSecretKey(key);
      } finally {
        key.fill(0);
      }
    },
  };
}

interface KeyringTool {
  find(id: string): readonly string[];
  /** Whether the answer to `find` means that there is no such key. */
  isAbsent(answer: ChildOutcome & { readonly kind: "ended" }): boolean;
  store(id: string, keyText: Uint8Array): { readonly command: readonly string[]; readonly stdin: Uint8Array };
}

const secretTool: KeyringTool = {
  find: (id) => ["secret-tool", "lookup", "application", "gatehouse", "key", id],
  // It ends with 1 when the keyring is out of reach, too, but then says why.
  isAbsent: ({ exitCode, isStderrEmpty }) => exitCode === 1 && isStderrEmpty,
  store: (id, keyText) => ({
    command: ["secret-tool", "store", `--label=Gatehouse key ${id}`, "application", "gatehouse", "key", id],
    stdin: new Uint8Array(keyText),
  }),
};

const security: KeyringTool = {
  find: (id) => ["security", "find-generic-password", "-s", "gatehouse", "-a", id, "-w"],
  // errSecItemNotFound, as far as an exit code can tell.
  isAbsent: ({ exitCode }) => exitCode === 44,
  // As an argument every user could see it: `security -i` reads its commands from standard input.
  store: (id, keyText) => ({
    command: ["security", "-i"],
    stdin: concat(utf8(`add-generic-password -s gatehouse -a ${id} -w `), keyText, utf8("\n")),
  }),
};

const TOOLS: Partial<Record<NodeJS.Platform, KeyringTool>> = { linux: secretTool, darwin: security };

/** One key's place in the keyring. */
class Keyring {
  readonly #tool: KeyringTool;
  readonly #id: string;
  readonly #options: Pick<KeyringOptions, "environment" | "clock">;

  constructor(tool: KeyringTool, id: string, options: Pick<KeyringOptions, "environment" | "clock">) {
    this.#tool = tool;
    this.#id = id;
    this.#options = options;
  }

  /** The caller's to wipe; `undefined` when the keyring has none. */
  async find(): Promise<Uint8Array | undefined> {
    const answer = await this.#run({ command: this.#tool.find(this.#id) }, KEY_TEXT_BYTES_MAX);
    const key = parseKey(answer.stdout);
    answer.stdout.fill(0);
    if (answer.exitCode === 0 && key !== undefined) return key;
    key?.fill(0);
    if (this.#tool.isAbsent(answer)) return undefined;
    throw answer.exitCode === 0 ? notAKey(this.#id) : missing("the keyring gave no answer");
  }

  /** Believed only when it has been read back: `security -i` ends with 0 whatever its commands did. */
  async store(key: Uint8Array): Promise<void> {
    const keyText = formatKey(key);
    const { command, stdin } = this.#tool.store(this.#id, keyText);
    try {
      const answer = await this.#run({ command, stdin }, STDOUT_BYTES_MAX);
      answer.stdout.fill(0);
      if (answer.exitCode !== 0) throw missing("the keyring did not take the key");
    } finally {
      stdin.fill(0);
      keyText.fill(0);
    }
    const stored = await this.find();
    const isStored = stored !== undefined && equalSecrets(stored, key);
    stored?.fill(0);
    if (!isStored) throw missing("the keyring did not keep the key");
  }

  async #run(
    input: { readonly command: readonly string[]; readonly stdin?: Uint8Array },
    stdoutBytesMax: number,
  ): Promise<ChildOutcome & { readonly kind: "ended" }> {
    const { environment = DEFAULT_ENVIRONMENT, ...rest } = this.#options;
    const outcome = await runChild({ ...rest, ...input, environment, stdoutBytesMax, timeoutMs: TIMEOUT_MS });
    switch (outcome.kind) {
      case "ended":
        return outcome;
      case "not-started":
        throw unsupported(
          `the program ${input.command[0]} is not there`,
          "install it (Debian: libsecret-tools), or ",
        );
      case "too-much":
        throw notAKey(this.#id);
      case "timed-out":
      case "killed":
        throw missing("the keyring gave no answer");
    }
  }
}

function missing(message: string): GatehouseError<"key.missing"> {
  return new GatehouseError("key.missing", message, {
    hint: "unlock the keyring, and run gatehouse in the session of the user that it belongs to",
  });
}

function notAKey(id: string): GatehouseError<"key.wrong"> {
  return new GatehouseError("key.wrong", `what the keyring holds as the key ${id} is not a key`, {
    hint: "nothing was changed; restore the keyring's entry",
  });
}

function exists(): GatehouseError<"file.exists"> {
  return new GatehouseError("file.exists", "the keyring has such a key already, and it is never replaced");
}

function unsupported(message: string, before = ""): GatehouseError<"key.unsupported"> {
  return new GatehouseError("key.unsupported", message, {
    hint: `${before}keep the key elsewhere: --kek keyfile, passphrase or command:…`,
  });
}
