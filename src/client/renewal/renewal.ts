/**
 * A device's own certificate at one gatehouse, renewed before it runs out, and after.
 *
 * The wish is stored before it is sent, the answer before it is used: whatever breaks in between, the same request under the
 * same id is sent again and answered the same, and the old certificate stays good until the new one has been used. Of several
 * processes that renew at once, all send the one stored wish, and store the one answer.
 *
 * An answer is believed by the signature of the identity that pairing pinned, over the key that the server showed on this very
 * connection: an authority alone, be it stolen, makes this device trust no other.
 *
 * That is also why a device whose certificate has run out may talk to a server that it cannot verify by an authority. Whoever
 * is in the middle cannot sign, hears nothing secret (a certificate request and a nonce), and gets no call but this one. What
 * he would learn is who the device is: its certificate, which a server that fails verification is not shown. So nobody
 * on the network decides that it comes to this: a server that cannot be verified is no reason, only this device's own dates
 * are (by its own clock, or by what it last knew of the gatehouse's), or the verified gatehouse's word that the
 * certificate has run out. A gatehouse goes on showing a certificate of an old authority for as long as any device may hold one: a
 * device whose own certificate is good has been left behind by no rotation.
 */
import { certificateFacts, certificatePem, inspectLeaf, spkiOf } from "../../certs/index.ts";
import { type Clock, GatehouseError, isGatehouseError, LIMITS } from "../../core/index.ts";
import { sha256 } from "../../crypto/index.ts";
import { METHODS } from "../../gen/index.ts";
import type { PeerVerification } from "../../quic/index.ts";
import { Caller } from "../../rpc/index.ts";
import { askedNow, isSkewed, skewSentence, skewSince, withClockHint } from "../clock-skew.ts";
import { dialPlainly, type PlainConnection } from "../link/plain-dial.ts";
import type { Remote, RenewalWish } from "../remotes.ts";
import { checkedRenewal, type RenewedCertificate } from "./renewal-answer.ts";
import {
  forgetAnswer,
  isSameWish,
  type RenewalOptions,
  type RenewalParts,
  storedWish,
} from "./renewal-wish.ts";

/** The gatehouse lets an expired certificate through TLS only for who has just failed there. */
const LATE_ATTEMPTS = 2;

/**
 * When a certificate is to be renewed: at half of its life, a tenth earlier or later, so that devices that were paired
 * together do not come together. The same for the same certificate each time. Unix ms.
 */
export function renewalTime(certificate: Uint8Array): number {
  const { serial, notBefore, expiresAt } = certificateFacts(certificate);
  // The first digits are less random: the number must not be negative.
  const chance = Number.parseInt(serial.slice(-8), 16) / 2 ** 32;
  return Math.round(notBefore + (expiresAt - notBefore) * (0.4 + 0.2 * chance));
}

/** By this device's clock, or by the gatehouse's as it was last known. */
export function hasRunOut({ certificateExpiresAt, lastSkewMs = 0 }: Remote, clock: Clock): boolean {
  const now = clock.now();
  return Math.max(now, isSkewed(lastSkewMs) ? now + lastSkewMs : now) >= certificateExpiresAt;
}

/**
 * Has this device's certificate at `remote` renewed, and stores it. Answers the entry as it is then.
 * @throws certificate.expired when the gatehouse does not let it in any more; device.*, quic.*, rpc.*, file.io
 */
export async function renewCertificate(
  parts: RenewalParts,
  remote: Remote,
  options: RenewalOptions = {},
): Promise<Remote> {
  const { current, wish, isNew } = await storedWish(parts, remote, options);
  if (wish === undefined) return current;
  const result = await outcomeOf(wish, { parts, remote: current, options });
  if (result.kind === "unfit") {
    const stale = await forgetAnswer(parts, current, wish);
    // An answer given before may be for a key that the gatehouse has replaced since.
    if (isNew) throw result.failure;
    return await renewCertificate(parts, stale, options);
  }
  return await keep(result, { parts, remote: current, wish, isNew });
}

/** Uses a certificate for the first time, so that the gatehouse lets go of the key before it. @throws GatehouseError */
export async function useCertificate(
  parts: RenewalParts,
  remote: Remote,
  options: RenewalOptions,
): Promise<void> {
  await using connection = await dial("strict", { parts, remote, options });
  using caller = new Caller(parts);
  await caller.unary(() => connection.openStream(), METHODS.Health.Ping, {}, callOptions(options));
}

interface Renewal {
  readonly parts: RenewalParts;
  readonly remote: Remote;
  readonly options: RenewalOptions;
}

interface Answered {
  readonly kind: "answered";
  readonly renewed: RenewedCertificate;
  readonly skewMs: number;
}

/** The wish has had an answer, or never will, and it is of no use: asked for again, it would be the same. */
interface Unfit {
  readonly kind: "unfit";
  readonly failure: unknown;
}

interface Kept extends Omit<Renewal, "options"> {
  readonly wish: RenewalWish;
  readonly isNew: boolean;
}

async function keep({ renewed, skewMs }: Answered, { parts, remote, wish, isNew }: Kept): Promise<Remote> {
  // An answer that was given before is given again word for word, the time it was then included.
  const lastSkewMs = isNew ? skewMs : remote.lastSkewMs;
  if (parts.clock.now() < renewed.expiresAt) {
    return await parts.remotes.change(remote.gatehouseId, (current) =>
      withRenewed(current, wish, renewed, lastSkewMs),
    );
  }
  // By a clock that is so far ahead every command would renew again: the wish stays, and with it the answer.
  await parts.remotes.change(remote.gatehouseId, (current) => ({ ...current, lastSkewMs }));
  throw clockAhead(remote, lastSkewMs);
}

/** Whoever has stored the wish's answer has forgotten the wish: then there is nothing to do. */
function withRenewed(
  current: Remote,
  wish: RenewalWish,
  { certificate, caCertificates, expiresAt: certificateExpiresAt }: RenewedCertificate,
  lastSkewMs: number | undefined,
): Remote {
  const { renewal, ...rest } = current;
  if (!isSameWish(renewal, wish)) return current;
  return { ...rest, certificate, caCertificates, certificateExpiresAt, lastSkewMs };
}

async function outcomeOf(wish: RenewalWish, renewal: Renewal): Promise<Answered | Unfit> {
  const { remote, parts } = renewal;
  if (hasRunOut(remote, parts.clock)) return await askLate(wish, renewal);
  return (await askOnTime(wish, renewal)) ?? (await askLate(wish, renewal));
}

/** Undefined when the gatehouse, verified, says that the certificate has run out. */
async function askOnTime(wish: RenewalWish, renewal: Renewal): Promise<Answered | Unfit | undefined> {
  const { name, lastSkewMs } = renewal.remote;
  await using connection = await dial("strict", renewal).catch((failure: unknown) => {
    // What is said before the handshake is over anybody may have said.
    throw withClockHint(failure, name, lastSkewMs);
  });
  try {
    return await askOver(connection, wish, renewal);
  } catch (failure) {
    if (isGatehouseError(failure, "certificate.expired")) return undefined;
    throw failure;
  }
}

/**
 * With a certificate that has run out, of a server that is not verified: nothing it says is believed but a signed answer. Were
 * it told as the gatehouse's word, whoever is on the link could have this device take itself for revoked.
 */
async function askLate(wish: RenewalWish, renewal: Renewal): Promise<Answered | Unfit> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await using connection = await dial("danger-any-key", renewal);
      return await askOver(connection, wish, renewal);
    } catch (failure) {
      if (UNHEARD.some((code) => isGatehouseError(failure, code))) throw failure;
      if (attempt === LATE_ATTEMPTS) throw expired(renewal.remote, failure);
    }
  }
}

/** Nobody was there, or nobody was to be asked any more. */
const UNHEARD = [
  ...(["quic.unreachable", "quic.timed-out", "quic.bad-address", "quic.unsupported-platform"] as const),
  ...(["rpc.cancelled", "rpc.deadline", "rpc.draining", "file.io", "identity.damaged"] as const),
] as const;

async function askOver(
  connection: PlainConnection,
  wish: RenewalWish,
  { parts, remote, options }: Renewal,
): Promise<Answered | Unfit> {
  const { clock, identity } = parts;
  using caller = new Caller(parts);
  const { certificateRequest, nonce, requestId } = wish;
  const asked = askedNow(clock);
  const open = () => connection.openStream();
  try {
    const request = { certificateRequest, nonce };
    const call = { requestId, ...callOptions(options) };
    const answer = await caller.unary(open, METHODS.Device.Renew, request, call);
    const [shown = new Uint8Array(0)] = connection.peerCertificates;
    const serverSpkiSha256 = sha256(spkiOf(shown));
    const renewed = checkedRenewal(answer, { remote, wish, deviceId: identity.id, serverSpkiSha256 });
    return { kind: "answered", renewed, skewMs: skewSince(asked, clock, answer.now) };
  } catch (failure) {
    if (UNFIT.some((code) => isGatehouseError(failure, code))) return { kind: "unfit", failure };
    throw failure;
  }
}

/** The check of the answer, or the gatehouse about a request id that it cannot answer any more. */
const UNFIT = [
  "quic.wrong-server",
  "certificate.bad-request",
  "rpc.outcome-unknown",
  "rpc.request-mismatch",
] as const;

async function dial(
  kind: PeerVerification["kind"],
  { parts, remote, options }: Renewal,
): Promise<PlainConnection> {
  const { keyFor, clock } = parts;
  const { certificate, gatehouseId, caCertificates } = remote;
  const { timeoutMs, signal } = options;
  const isStrict = kind === "strict";
  const { privateKeyPem: keyPem } = await keyFor(certificate);
  return await dialPlainly(remote, {
    ...{ ...parts, signal, timeoutMs },
    identity: { keyPem, certificatePem: certificatePem(certificate) },
    verification: isStrict
      ? { kind, caPem: caCertificates.map(certificatePem).join("") }
      : { kind: "danger-any-key" },
    checkPeer: (certificates) => {
      if (isStrict)
        inspectLeaf(certificates, { caCertificates, gatehouseId, usage: "server", now: clock.now() });
    },
  });
}

function callOptions({ timeoutMs = LIMITS.callTimeoutMs, signal }: RenewalOptions) {
  return signal === undefined ? { timeoutMs } : { timeoutMs, signal };
}

function expired(
  { name, deviceName, certificateExpiresAt, lastSkewMs }: Remote,
  cause: unknown,
): GatehouseError {
  const ranOut = `this device's certificate at ${name} ran out on ${dayOf(certificateExpiresAt)}`;
  const readmit = `ask its owner to run: gatehouse device readmit ${deviceName}`;
  const clock = skewSentence(name, lastSkewMs);
  return new GatehouseError(
    "certificate.expired",
    `${ranOut}, and ${name} does not renew it by itself any more`,
    {
      hint: clock === undefined ? readmit : `${readmit}; and ${clock}`,
      cause,
    },
  );
}

/** The gatehouse has given a certificate that this device takes for one that ran out. */
function clockAhead({ name }: Remote, lastSkewMs: number | undefined): GatehouseError {
  const hint = skewSentence(name, lastSkewMs) ?? "compare the clocks of both machines";
  return new GatehouseError(
    "certificate.expired",
    `${name} renews this device's certificate, but by this machine's clock it has run out already`,
    { hint },
  );
}

function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
