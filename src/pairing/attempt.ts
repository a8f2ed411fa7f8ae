import { hex } from "../core/index.ts";

export interface PairedDevice {
  readonly deviceId: string;
  readonly name: string;
  readonly role: string;
}

/** What enrolling answers: the device is known, certified, stored and audited. */
export interface PairingGrant extends PairedDevice {
  /** DER. */
  readonly certificate: Uint8Array;
  /** DER, newest generation first, 1 to 4. */
  readonly caCertificates: readonly Uint8Array[];
}

/** Who a joiner is, as far as its hello and TLS tell; the identity key is proven only later. */
export interface JoinerKeys {
  /** Raw Ed25519 public key that it claims, 32 bytes. */
  readonly identityKey: Uint8Array;
  /** SHA-256 of the SubjectPublicKeyInfo that TLS has proven it to hold. */
  readonly tlsKeyHash: Uint8Array;
}

/** What a joiner whose identity is proven says of itself, and where it comes from. */
export interface JoinerFacts {
  /** Proven; the rest is only said. */
  readonly deviceId: string;
  readonly name: string;
  readonly kind: string;
  readonly platform: string;
  /** It wants the place of the device that has its name. */
  readonly replace: boolean;
  /** IP address, without port; empty when unknown. */
  readonly remoteAddress: string;
}

/** One joiner's exchange, from its hello to its end. */
export interface PairingAttempt {
  /** What the joiner has to know: the code's digits or the URI's bytes. Borrowed. */
  readonly secret: Uint8Array;
  readonly role: string;
  /** Aborted, with the error to answer, when time is up or the window is over. */
  readonly signal: AbortSignal;
  /**
   * Takes the verdict on the joiner's tag; call it exactly once, before anything about it leaves.
   * @throws GatehouseError `pairing.wrong-code`, after a code was burnt on disk; whatever the limiter's store throws.
   */
  prove(isRight: boolean): Promise<void>;
  /**
   * Says who wants in, once its identity and request are proven. Answers how long, in milliseconds, somebody is asked
   * at most; `undefined` when nobody has to be. A joiner that has come back meets its own question.
   * @throws GatehouseError `device.name-taken`; `pairing.busy` when it, or too many others, wait already;
   * `pairing.closed` when another joiner was faster.
   */
  ask(facts: JoinerFacts): number | undefined;
  /**
   * After `ask`: waits for the answer, if there is one to wait for, and runs `enroll` with the id of the device that
   * was approved to be replaced; for a joiner that was granted before, the same grant again.
   * @throws GatehouseError `pairing.denied`, `pairing.expired`, `pairing.closed`; whatever `enroll` throws, and the
   * window is open again then.
   */
  enroll(enroll: (replaces: string | undefined) => Promise<PairingGrant>): Promise<PairingGrant>;
  /** The joiner has stored its grant: nobody needs this window any more. */
  acknowledge(): void;
  /** Ends the attempt however it went; may be called again. */
  end(): void;
}

export function joinerOf({ identityKey, tlsKeyHash }: JoinerKeys): string {
  return `${hex(identityKey)}/${hex(tlsKeyHash)}`;
}
