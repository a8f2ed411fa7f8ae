import type { KeyObject } from "node:crypto";
import { GatehouseError, invariant, type Random } from "../core/index.ts";
import { formatRecipient, RECOVERY_KIND, recipientIn } from "../keystore/index.ts";
import type { Kek } from "./envelope.ts";
import { SLOTS_MAX } from "./header-format.ts";
import type { KekProvider } from "./kek-provider.ts";
import { type Keyring, type KeyringState, type SlotName, sealKeyring, withSlot } from "./keyring.ts";
import { freshKek } from "./keyring-format.ts";

/** One key that opens the vault. */
export interface KeySlot {
  readonly number: number;
  /** Of the key provider. */
  readonly kind: string;
  /** Unix ms. */
  readonly createdAt: number;
  /** `age1…`; of a recovery key only. */
  readonly recipient: string | undefined;
}

/** An open vault's keys, which change while it is open: the header is on disk, whole, before anything uses the change. */
export class LiveKeyring implements Keyring {
  readonly #save: (file: Uint8Array) => Promise<void>;
  readonly #random: Random;
  #state: KeyringState;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(
    state: KeyringState,
    effects: { readonly save: (file: Uint8Array) => Promise<void>; readonly random: Random },
  ) {
    this.#state = state;
    this.#save = effects.save;
    this.#random = effects.random;
  }

  get vaultId(): string {
    return this.#state.vaultId;
  }

  get kek(): Kek {
    return this.keks.reduce((newest, next) => (next.term > newest.term ? next : newest));
  }

  get keks(): readonly Kek[] {
    const { keks } = this.#state.contents;
    invariant(keks.length > 0, "a keyring has a term");
    return keks;
  }

  get root(): KeyObject {
    return this.#state.contents.root;
  }

  get slots(): readonly KeySlot[] {
    return this.#state.slots.map(keySlotOf);
  }

  /** A new newest term; answers it. @throws GatehouseError `file.io`: then nothing changed. */
  async addTerm(): Promise<number> {
    return await this.#change((state) => {
      const term = this.kek.term + 1;
      const keks = [...state.contents.keks, freshKek(term, this.#random)];
      return { next: { ...state, contents: { ...state.contents, keks } }, result: term };
    });
  }

  /** Forgets every term below the newest that `isNeeded` does not name. Answers how many went. @throws `file.io` */
  async dropTerms(isNeeded: (term: number) => boolean): Promise<number> {
    const { term: newest } = this.kek;
    const isKept = ({ term }: Kek): boolean => term === newest || isNeeded(term);
    if (this.keks.every(isKept)) return 0;
    return await this.#change((state) => {
      const keks = state.contents.keks.filter(isKept);
      const result = state.contents.keks.length - keks.length;
      return { next: { ...state, contents: { ...state.contents, keks } }, result };
    });
  }

  /** @throws GatehouseError `vault.key-slots` when all are taken; of the provider; `file.io`. */
  async addSlot(provider: KekProvider, createdAt: number): Promise<KeySlot> {
    return await this.#change(async (state) => {
      if (state.slots.length >= SLOTS_MAX) {
        throw new GatehouseError("vault.key-slots", `a vault has at most ${SLOTS_MAX} keys`, {
          hint: "remove one first: gatehouse vault key rm N",
        });
      }
      const next = await withSlot(state, provider, createdAt);
      const added = next.slots.at(-1);
      invariant(added !== undefined, "a slot was added");
      return { next, result: keySlotOf(added) };
    });
  }

  /** @throws GatehouseError `vault.key-slots` for the last key that is no recovery key, or no such slot; `file.io`. */
  async removeSlot(number: number): Promise<KeySlot> {
    return await this.#change((state) => {
      const removed = state.slots.find((slot) => slot.number === number);
      if (removed === undefined) throw noSuchSlot(number);
      const slots = state.slots.filter((slot) => slot !== removed);
      if (slots.every(({ kind }) => kind === RECOVERY_KIND)) throw lastSlot();
      return { next: { ...state, slots }, result: keySlotOf(removed) };
    });
  }

  /**
   * A header of the same vault for a copy of it: opened by recovery keys and by `provider`, not by the keys of this
   * machine. Nothing here changes.
   */
  async headerFor(provider: KekProvider, createdAt: number): Promise<Uint8Array> {
    const { slots: all, ...state } = this.#state;
    const slots = all.filter(({ kind }) => kind === RECOVERY_KIND).slice(0, SLOTS_MAX - 1);
    return sealKeyring(await withSlot({ ...state, slots }, provider, createdAt), this.#random);
  }

  /** Changes follow one another. */
  async #change<Result>(
    plan: (state: KeyringState) => Planned<Result> | Promise<Planned<Result>>,
  ): Promise<Result> {
    const turn = this.#turn.then(async () => {
      const { next, result } = await plan(this.#state);
      await this.#save(sealKeyring(next, this.#random));
      this.#state = next;
      return result;
    });
    this.#turn = turn.catch(() => undefined);
    return await turn;
  }
}

interface Planned<Result> {
  readonly next: KeyringState;
  readonly result: Result;
}

export function keySlotOf({ number, kind, createdAt, parameters }: SlotName): KeySlot {
  const recipient = kind === RECOVERY_KIND ? recipientIn(parameters) : undefined;
  return {
    number,
    kind,
    createdAt,
    recipient: recipient === undefined ? undefined : formatRecipient(recipient),
  };
}

function noSuchSlot(number: number): GatehouseError<"vault.key-slots"> {
  return new GatehouseError("vault.key-slots", `the vault has no key ${number}`, {
    hint: "see which there are: gatehouse vault key ls",
  });
}

function lastSlot(): GatehouseError<"vault.key-slots"> {
  return new GatehouseError("vault.key-slots", "this is the last key beside recovery keys, and it stays", {
    hint: "add another one first: gatehouse vault key add --new-kek PLACE",
  });
}
