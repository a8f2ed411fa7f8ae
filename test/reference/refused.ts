/** Why the twin ends an exchange: the code of docs/pairing.md. */
export class Refused extends Error {
  override readonly name = "Refused";
  readonly code: string;

  constructor(code: string, why: string) {
    super(`${code}: ${why}`);
    this.code = code;
  }
}

export const badMessage = (why: string): Refused => new Refused("pairing.bad-message", why);
