import {
  certificatePem,
  createTlsRequest,
  gatehouseHost,
  inspectLeaf,
  selfSignedLeaf,
} from "../certs/index.ts";
import {
  type Clock,
  GatehouseError,
  isGatehouseError,
  LIMITS,
  type Logger,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
  type UnixMs,
} from "../core/index.ts";
import { ensurePrivateDir, homeLayout } from "../files/index.ts";
import { type DeviceId, DeviceIdentity } from "../identity/index.ts";
import {
  isPairingUri,
  joinPairing,
  PairingInitiator,
  type PairingResult,
  type PairingSecret,
  parsePairingCode,
  parsePairingUri,
} from "../pairing/index.ts";
import { parseAddress } from "./address.ts";
import { homeKeys } from "./home-identity.ts";
import { dialPairing, type PairingLink } from "./pairing-dial.ts";
import { pause } from "./pause.ts";
import { type Remote, Remotes } from "./remotes.ts";

/** TLS needs a name; before pairing nobody knows the gatehouse's, and the certificate proves nothing yet. */
const UNKNOWN_HOST = "pairing.gatehouse.internal";

const ATTEMPTS_MAX = 5;
const BETWEEN_ATTEMPTS_MS = 1_000;

/** What passes: somebody else tries the code right now, or the link broke. */
const REPEATABLE = ["pairing.busy", "quic.closed"] as const;

export interface JoinOptions {
  /** This device's install; made when missing. */
  readonly home: string;
  /** HOST:PORT, or what the gatehouse's QR code says. */
  readonly target: string;
  /** Six digits; not with a URI. */
  readonly code?: string | undefined;
  /** What the gatehouse shall call this device, 1 to 64 bytes; or how to make it of the device's id. */
  readonly name: string | ((id: DeviceId) => string);
  /** What this device is, such as `cli`. */
  readonly kind: string;
  readonly platform: string;
  /** Take the place of the device that has this name, which is revoked then. Somebody at the gatehouse has to approve it. */
  readonly replace?: boolean | undefined;
  /** Somebody at the gatehouse is asked about this device now; the answer takes so many milliseconds at most. */
  readonly onPending?: ((timeoutMs: number) => void) | undefined;
  /** For everything together but people's answers, further attempts included. Default `LIMITS.callTimeoutMs`. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

export interface Joined {
  readonly gatehouse: { readonly name: string; readonly deviceId: DeviceId };
  readonly device: { readonly id: DeviceId; readonly name: string; readonly role: string };
  readonly certificate: { readonly expiresAt: UnixMs };
}

/**
 * Pairs this home with a gatehouse, over QUIC or TCP: both prove the code to each other, the gatehouse certifies this device's own key, both
 * pin the other. What came of it is stored before the gatehouse hears that it was.
 *
 * A broken link is tried again, unless this side had shown its proof of the code and had got none back: whoever is
 * there may have tested one guess at the code then, and must not get another.
 *
 * @throws pairing.*, quic.*, rpc.cancelled, usage.bad-argument, identity.damaged, home.bad-permissions
 */
export async function joinGatehouse(options: JoinOptions): Promise<Joined> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = options;
  const target = parseTarget(options);
  const layout = homeLayout(options.home);
  await ensurePrivateDir(layout.root);
  const keys = await homeKeys(layout);
  const identity = await DeviceIdentity.openOrCreate(layout.identityDir, { random, keys });
  const certificate = await selfSignedLeaf(identity, clock.now(), random);
  const certificateRequest = await createTlsRequest(identity);
  const signal = options.signal ?? new AbortController().signal;
  const joiner = {
    ...options,
    ...target,
    name: typeof options.name === "string" ? options.name : options.name(identity.id),
    clock,
    random,
    logger,
    identity,
    certificate,
    certificateRequest,
    signal,
    time: { endsAtMs: clock.monotonicMs() + (options.timeoutMs ?? LIMITS.callTimeoutMs) },
  };
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await joinOnce(joiner);
    if (outcome.kind === "joined") return outcome.joined;
    const hasTime = remainingMs(joiner) > BETWEEN_ATTEMPTS_MS;
    if (!outcome.mayRepeat || !hasTime || attempt === ATTEMPTS_MAX) throw outcome.failure;
    if (!(await pause(clock, BETWEEN_ATTEMPTS_MS, signal)))
      throw new GatehouseError("rpc.cancelled", "pairing was cancelled");
  }
}

interface Target {
  readonly address: string;
  readonly secret: PairingSecret;
}

interface Joiner extends JoinOptions, Target {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  readonly identity: DeviceIdentity;
  readonly certificate: Uint8Array;
  readonly certificateRequest: Uint8Array;
  /** On the monotonic clock; later when somebody is asked. */
  readonly time: { endsAtMs: number };
}

type Outcome =
  | { readonly kind: "joined"; readonly joined: Joined }
  | { readonly kind: "failed"; readonly failure: unknown; readonly mayRepeat: boolean };

async function joinOnce(joiner: Joiner): Promise<Outcome> {
  const { identity, certificate, certificateRequest, secret, clock, random, name, kind, platform } = joiner;
  await using link = await dial(joiner);
  const { peerCertificate, binding } = link;
  if (peerCertificate === undefined)
    throw new GatehouseError("quic.wrong-server", "the server showed no certificate");
  const initiator = new PairingInitiator({
    ...{ secret, identity, certificate, peerCertificate, certificateRequest },
    ...{ name, kind, platform, clock, random, replace: joiner.replace === true, binding },
  });
  using deadline = withDeadline(joiner);
  try {
    const { signal, prolong } = deadline;
    const { result, acknowledge } = await joinPairing(link.open(), initiator, {
      ...{ signal, clock },
      onPending: (timeoutMs) => {
        prolong(timeoutMs);
        joiner.onPending?.(timeoutMs);
      },
    });
    const joined = await remember(joiner, result);
    await acknowledge();
    return { kind: "joined", joined };
  } catch (failure) {
    const isPassing = REPEATABLE.some((code) => isGatehouseError(failure, code));
    const mayRepeat = isPassing && (secret.mode === "uri" || !initiator.isCodeSpent);
    return { kind: "failed", failure: initiator.isCodeSpent ? spent(failure) : noWindow(failure), mayRepeat };
  }
}

async function dial(joiner: Joiner): Promise<PairingLink> {
  const { identity, certificate, secret, address, clock, random, logger, signal } = joiner;
  try {
    return await dialPairing({
      ...{ clock, random, logger, signal, address: parseAddress(address) },
      remainingMs: () => remainingMs(joiner),
      serverName: secret.mode === "uri" ? gatehouseHost(secret.gatehouseId) : UNKNOWN_HOST,
      identity: { keyPem: identity.tls.privateKeyPem, certificatePem: certificatePem(certificate) },
    });
  } catch (failure) {
    throw noWindow(failure);
  }
}

/** Stored first, acknowledged after: a gatehouse that heard of it may let nobody in any more. */
async function remember({ home, address, clock, identity }: Joiner, result: PairingResult): Promise<Joined> {
  const remote = await Remotes.of(home).add(remoteOf(result, address, clock.now()));
  return {
    gatehouse: { name: remote.name, deviceId: remote.gatehouseId },
    device: { id: identity.id, name: remote.deviceName, role: remote.role },
    certificate: { expiresAt: remote.certificateExpiresAt },
  };
}

interface Deadline extends Disposable {
  readonly signal: AbortSignal;
  /** Somebody is asked: that takes its own time. */
  readonly prolong: (ms: number) => void;
}

/** A gatehouse that hangs in the middle of the exchange must not hang its joiner. */
function withDeadline(joiner: Joiner): Deadline {
  const { clock, signal, time } = joiner;
  const controller = new AbortController();
  const cancel = (): void => controller.abort(new GatehouseError("rpc.cancelled", "pairing was cancelled"));
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  let timer: Disposable | undefined;
  const arm = (): void => {
    timer?.[Symbol.dispose]();
    timer = clock.setTimer(remainingMs(joiner), () =>
      controller.abort(new GatehouseError("quic.timed-out", "the gatehouse did not go on with pairing")),
    );
  };
  arm();
  return {
    signal: controller.signal,
    prolong: (ms) => {
      time.endsAtMs += ms;
      arm();
    },
    [Symbol.dispose]: () => {
      timer?.[Symbol.dispose]();
      signal.removeEventListener("abort", cancel);
    },
  };
}

function remainingMs({ clock, time }: Joiner): number {
  return Math.max(1, Math.ceil(time.endsAtMs - clock.monotonicMs()));
}

/** While no window is open the gatehouse does not even offer the pairing protocol. */
function noWindow(failure: unknown): unknown {
  if (!isGatehouseError(failure, "quic.not-admitted")) return failure;
  return new GatehouseError("pairing.closed", "no pairing window is open there", {
    hint: "open one on the gatehouse: gatehouse pair open",
    cause: failure,
  });
}

function spent(failure: unknown): unknown {
  if (!isGatehouseError(failure, "quic.closed")) return failure;
  return new GatehouseError("quic.closed", failure.message, {
    hint: "do not use this code again: open a new window with `gatehouse pair open`",
    cause: failure,
  });
}

function parseTarget({ target, code }: JoinOptions): Target {
  if (isPairingUri(target)) {
    const { address, secret, gatehouseId } = parsePairingUri(target);
    return { address, secret: { mode: "uri", secret, gatehouseId } };
  }
  parseAddress(target);
  if (code !== undefined) return { address: target, secret: { mode: "code", code: parsePairingCode(code) } };
  throw new GatehouseError("pairing.bad-code", "pairing by address needs the code", {
    hint: "the gatehouse shows it: gatehouse pair open",
  });
}

function remoteOf(result: PairingResult, address: string, now: UnixMs): Remote {
  const { gatehouseId, gatehouseName, gatehouseKey, certificate, caCertificates, deviceName, role } = result;
  const { expiresAt } = inspectLeaf([certificate], { caCertificates, gatehouseId, usage: "device", now });
  return {
    ...{ name: gatehouseName, gatehouseId, identityKey: gatehouseKey, address },
    ...{ caCertificates, certificate, deviceName, role, pairedAt: now, certificateExpiresAt: expiresAt },
  };
}
