import type { Changes } from "./support.ts";

/** A place where calls wait until the test lets them pass. */
export class Gate {
  readonly reached: Promise<void>;
  readonly #opened: Promise<void>;
  #reach: () => void = () => undefined;
  #open: () => void = () => undefined;

  constructor() {
    this.reached = new Promise((resolve) => {
      this.#reach = resolve;
    });
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
  }

  async pass(): Promise<void> {
    this.#reach();
    await this.#opened;
  }
}

/** A vault whose secrets are written, or read, only when the gate is open. */
export function gatedSecrets(gate: Gate, gated: "put" | "get"): Changes {
  return ({ secrets }) => ({
    secrets: {
      put: async (...put) => {
        if (gated === "put") await gate.pass();
        return await secrets.put(...put);
      },
      get: async (...get) => {
        if (gated === "get") await gate.pass();
        return await secrets.get(...get);
      },
      list: (input) => secrets.list(input),
      history: (path) => secrets.history(path),
      remove: (...remove) => secrets.remove(...remove),
      undelete: (...undelete) => secrets.undelete(...undelete),
      destroy: (...destroy) => secrets.destroy(...destroy),
    },
  });
}
