import { METHODS } from "../gen/index.ts";
import type { Router } from "../rpc/index.ts";
import { Once } from "./once.ts";
import type { Peer } from "./peer.ts";

export interface AuthorityGeneration {
  readonly number: number;
  readonly state: "introduced" | "serving" | "retired";
  /** Unix ms, as are the others. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** When its state changes by itself. */
  readonly changesAt: number | undefined;
  /** DER. */
  readonly certificate: Uint8Array;
}

/** The gatehouse's authority, for people. */
export interface AuthorityDesk {
  /** Newest first. */
  generations(): readonly AuthorityGeneration[];
  serverCertificate(): { readonly serial: string; readonly expiresAt: number };
  revocationEpoch(): number;
  /** @throws ca.rotating */
  rotate(): Promise<void>;
  renewServer(options: { readonly newKey: boolean }): Promise<void>;
  /** DER, newest generation first. */
  revocationLists(): Promise<readonly Uint8Array[]>;
}

export function authorityService(router: Router<Peer>, authority: AuthorityDesk): void {
  const record = () => {
    const { serial, expiresAt } = authority.serverCertificate();
    return {
      generations: authority.generations().map(({ changesAt = 0, ...rest }) => ({ ...rest, changesAt })),
      serverCertificateSerial: serial,
      serverCertificateExpiresAt: expiresAt,
      revocationEpoch: authority.revocationEpoch(),
    };
  };
  router.handle(METHODS.Authority.Show, record);
  const once = new Once();
  router.handle(METHODS.Authority.Rotate, async (request, context) => {
    await once.run(METHODS.Authority.Rotate, { context, request }, () => authority.rotate());
    return record();
  });
  router.handle(METHODS.Authority.RenewServer, async (request, context) => {
    const { newKey } = request;
    const renew = () => authority.renewServer({ newKey });
    await once.run(METHODS.Authority.RenewServer, { context, request }, renew);
    return record();
  });
  router.handle(METHODS.Authority.RevocationList, async () => ({
    lists: [...(await authority.revocationLists())],
  }));
}
