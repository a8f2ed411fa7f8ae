/** What a device asks a gatehouse for when it renews its certificate: stored before it is asked, and asked until it is answered. */
import { createTlsRequest } from "../../certs/index.ts";
import { type Clock, equalBytes, LIMITS, type Logger, type Random, unixMs } from "../../core/index.ts";
import type { DeviceIdentity, TlsIdentity } from "../../identity/index.ts";
import type { Remote, Remotes, RenewalWish } from "../remotes.ts";

const NONCE_BYTES = 32;
const REQUEST_ID_BYTES = 16;
/** The gatehouse remembers its answers for a day. */
const WISH_MS = LIMITS.rememberedRepliesMs - 3_600_000;

export interface RenewalParts {
  readonly identity: DeviceIdentity;
  /** The key of the identity that a certificate is for. @throws identity.damaged when it is gone */
  readonly keyFor: (certificate: Uint8Array) => Promise<TlsIdentity>;
  /** Another key for the identity, stored. */
  readonly addKey: () => Promise<TlsIdentity>;
  readonly remotes: Remotes;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface RenewalOptions {
  /** Certifies another key, which takes the place of the one in use. */
  readonly newKey?: boolean | undefined;
  /** For the handshake and for the answer, each. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface StoredWish {
  readonly current: Remote;
  /** Undefined when somebody else has renewed meanwhile. */
  readonly wish: RenewalWish | undefined;
  readonly isNew: boolean;
}

/** The one that is stored, when its answer may still be had; else a new one, stored. */
export async function storedWish(
  parts: RenewalParts,
  remote: Remote,
  { newKey = false }: RenewalOptions,
): Promise<StoredWish> {
  const { clock, remotes } = parts;
  const inUse = await parts.keyFor(remote.certificate);
  const isForNewKey = (kept: RenewalWish) => !equalBytes(kept.spkiSha256, inUse.spkiSha256);
  const fits = (kept: RenewalWish | undefined): boolean =>
    // A new key that was asked for once is what comes of any renewal.
    kept !== undefined && Math.abs(clock.now() - kept.askedAt) < WISH_MS && (!newKey || isForNewKey(kept));
  if (fits(remote.renewal)) return { current: remote, wish: remote.renewal, isNew: false };
  const { renewal: stale } = remote;
  const left =
    stale !== undefined && isForNewKey(stale) ? parts.identity.tlsFor(stale.spkiSha256) : undefined;
  const own = await newWish(parts, left ?? (newKey ? await parts.addKey() : inUse));
  const current = await remotes.change(remote.gatehouseId, (now) => {
    const isRenewed = !newKey && !equalBytes(now.certificate, remote.certificate);
    return isRenewed || fits(now.renewal) ? now : { ...now, renewal: own };
  });
  return { current, wish: current.renewal, isNew: isSameWish(current.renewal, own) };
}

/** The next wish is another one, for the same key. */
export function forgetAnswer(
  { remotes }: Pick<RenewalParts, "remotes">,
  remote: Remote,
  wish: RenewalWish,
): Promise<Remote> {
  return remotes.change(remote.gatehouseId, (current) =>
    isSameWish(current.renewal, wish) ? { ...current, renewal: { ...wish, askedAt: unixMs(0) } } : current,
  );
}

export function isSameWish(a: RenewalWish | undefined, b: RenewalWish): boolean {
  return a !== undefined && equalBytes(a.requestId, b.requestId);
}

async function newWish({ identity, clock, random }: RenewalParts, tls: TlsIdentity): Promise<RenewalWish> {
  return {
    requestId: random.bytes(REQUEST_ID_BYTES),
    nonce: random.bytes(NONCE_BYTES),
    certificateRequest: await createTlsRequest({ publicKey: identity.publicKey, tls }),
    spkiSha256: tls.spkiSha256,
    askedAt: clock.now(),
  };
}
