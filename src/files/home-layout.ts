import { join, resolve } from "node:path";

/** Where an install keeps what; absolute paths. Directories are 0700, files 0600. */
export interface HomeLayout {
  readonly root: string;
  readonly identityDir: string;
  /** Says where the key file is that opens the identity of a home that serves. */
  readonly keyPointerFile: string;
  readonly caDir: string;
  readonly vaultDir: string;
  readonly auditDir: string;
  /** What must be readable while the vault is sealed. */
  readonly bootFile: string;
  /** What the door shows while the vault is sealed. */
  readonly doorFile: string;
  /** What the daemon's watchdog noted of freezes. */
  readonly freezesFile: string;
  /** What policies were asked lately; sealed under the vault's key, and expendable. */
  readonly requestsFile: string;
  /** Gatehouses this home paired with as a client. */
  readonly remotesFile: string;
  /** What lets this home come back to those gatehouses in one round trip; secret, and expendable. */
  readonly ticketsDir: string;
  /** On which networks UDP did not get through to which gatehouse; expendable. */
  readonly wiresFile: string;
  /** Calls that wait until their gatehouse can be reached; secret. */
  readonly outboxDir: string;
  /** Secrets kept for when their gatehouse cannot be reached; expendable. */
  readonly secretCacheDir: string;
  /** Held by the home's one daemon. */
  readonly lockFile: string;
  /** Where the running daemon listens, for the client commands of this home. */
  readonly endpointFile: string;
}

export function homeLayout(root: string): HomeLayout {
  const home = resolve(root);
  return Object.freeze({
    root: home,
    identityDir: join(home, "identity"),
    keyPointerFile: join(home, "identity", "key-dir.json"),
    caDir: join(home, "ca"),
    vaultDir: join(home, "vault"),
    auditDir: join(home, "audit"),
    bootFile: join(home, "boot"),
    doorFile: join(home, "door"),
    freezesFile: join(home, "freezes"),
    requestsFile: join(home, "requests"),
    remotesFile: join(home, "remotes.json"),
    ticketsDir: join(home, "tickets"),
    wiresFile: join(home, "wires"),
    outboxDir: join(home, "outbox"),
    secretCacheDir: join(home, "secret-cache"),
    lockFile: join(home, "lock"),
    endpointFile: join(home, "endpoint.json"),
  });
}
