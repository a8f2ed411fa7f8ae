import { type Clock, LIMITS } from "../core/index.ts";
import type { JoinerFacts } from "./attempt.ts";
import type { Attempt } from "./attempts.ts";
import { type Joiner, Question } from "./question.ts";
import { busy, nameTaken } from "./refusals.ts";

export interface QuestionsOptions {
  readonly clock: Clock;
  readonly role: string;
  readonly requireApproval: boolean;
  readonly findByName: (name: string) => string | undefined;
  readonly onAsked: (joiner: Joiner) => void;
  readonly onExpired: (question: Question) => void;
}

/** What somebody is asked about one window's joiners: at most one question for each, and few in all. */
export class Questions {
  readonly #options: QuestionsOptions;
  /** By identity key. */
  readonly #all = new Map<string, Question>();

  constructor(options: QuestionsOptions) {
    this.#options = options;
  }

  get all(): readonly Question[] {
    return [...this.#all.values()];
  }

  get unanswered(): readonly Question[] {
    return this.all.filter(({ isApproved }) => !isApproved);
  }

  get isEmpty(): boolean {
    return this.#all.size === 0;
  }

  of({ identity }: Attempt): Question | undefined {
    return this.#all.get(identity);
  }

  has(attempt: Attempt): boolean {
    return this.of(attempt)?.attempt === attempt;
  }

  /**
   * Asks, when somebody has to be asked.
   * @throws GatehouseError `device.name-taken`; `pairing.busy` when too many wait already.
   */
  ask(attempt: Attempt, facts: JoinerFacts): Question | undefined {
    const { findByName, requireApproval, role, clock, onAsked, onExpired } = this.#options;
    const holder = findByName(facts.name);
    const replaces = holder === undefined || holder === facts.deviceId ? "" : holder;
    if (replaces !== "" && !facts.replace) throw nameTaken(facts.name);
    if (replaces === "" && !requireApproval) return undefined;
    if (this.#all.size >= LIMITS.pairingQuestions) throw busy();
    const question = new Question({ facts, role, replaces, attempt, clock, onExpired });
    this.#all.set(attempt.identity, question);
    onAsked(question.joiner);
    return question;
  }

  forget(question: Question): void {
    question[Symbol.dispose]();
    this.#all.delete(question.attempt.identity);
  }
}
