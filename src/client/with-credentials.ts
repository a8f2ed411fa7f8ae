/** A client that is given its certificate and key, by a program that keeps them in a store of its own. */
import { certificatesIn, inspectLeaf, keyIn } from "../certs/index.ts";
import {
  type Clock,
  equalBytes,
  GatehouseError,
  LIMITS,
  silentLogger,
  systemClock,
  systemRandom,
  unixMs,
} from "../core/index.ts";
import { importTlsKey, sha256, tlsKeyPem, tlsPublicKey } from "../crypto/index.ts";
import { parseDeviceId } from "../identity/index.ts";
import { Caller } from "../rpc/index.ts";
import { parseAddress } from "./address.ts";
import { type CertificateKeeper, Client } from "./client.ts";
import type { DeviceConnectOptions } from "./device.ts";
import { type Destination, GatehouseDialer } from "./link/dialer.ts";
import { Link } from "./link/link.ts";
import { MemoryTickets, MemoryUdpHistory } from "./link/memory.ts";
import { Trust } from "./link/trust.ts";

/** What `gatehouse remote export` writes, or `exportCredentials` answers. */
export interface CredentialsConnectOptions extends Omit<DeviceConnectOptions, "on"> {
  readonly identity: {
    /** PKCS#8, P-256. */
    readonly privateKeyPem: string;
    readonly certificatePem: string;
  };
  readonly gatehouse: {
    /** HOST:PORT. */
    readonly address: string;
    /** HOST:PORT of its gRPC door on TCP, or `off`; default `address`. */
    readonly grpc?: string | undefined;
    /** Its device id. */
    readonly id: string;
    /** The authorities that may certify it, one PEM after the other. */
    readonly caPem: string;
  };
}

export async function connectWithCredentials(options: CredentialsConnectOptions): Promise<Client> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger, signal, onWire } = options;
  const { resumption = "early", idleMs = LIMITS.idleMs, wire } = options;
  const first = destinationOf(options, clock, idleMs);
  const { remote } = first;
  const dialer = new GatehouseDialer({
    ...{ first, again: async () => first, renew: undefined, clock, random, logger, wire },
    ...{ tickets: new MemoryTickets(clock), udp: new MemoryUdpHistory(clock) },
  });
  const timeoutMs = Math.min(options.timeoutMs ?? LIMITS.handshakeMs, LIMITS.handshakeMs);
  const linked = { dialer, clock, random, resumption, onWire };
  const { dial = "now" } = options;
  const link = dial === "now" ? await Link.open(linked, { timeoutMs, signal }) : Link.whenNeeded(linked);
  const nothingKept = { outbox: undefined, secretCache: undefined, settle: async () => undefined };
  const caller = new Caller({ clock, random });
  return new Client({ remote, link, caller, ...nothingKept, clock, keeper: NO_KEEPER });
}

const NO_KEEPER: CertificateKeeper = {
  renew: async () => {
    throw new GatehouseError("usage.bad-argument", "a client that was given its certificate renews none", {
      hint: "renew it where it came from, and export it again: gatehouse remote export",
    });
  },
  renewals: { [Symbol.asyncDispose]: async () => undefined },
  heardClock: async () => undefined,
};

/** Everything is held against everything else before a byte is sent. */
function destinationOf(
  { identity, gatehouse }: CredentialsConnectOptions,
  clock: Clock,
  idleMs: number,
): Destination {
  const gatehouseId = parseDeviceId(gatehouse.id);
  for (const text of [gatehouse.address, gatehouse.grpc ?? "off"]) if (text !== "off") parseAddress(text);
  const caCertificates = parsed("gatehouse.caPem", () => certificatesIn(gatehouse.caPem));
  const [certificate = new Uint8Array(0)] = parsed("identity.certificatePem", () =>
    certificatesIn(identity.certificatePem),
  );
  const facts = inspectLeaf([certificate], {
    ...{ caCertificates, gatehouseId, usage: "device", now: clock.now() },
  });
  const key = parsed("identity.privateKeyPem", () => importTlsKey(keyIn(identity.privateKeyPem)));
  if (!equalBytes(sha256(tlsPublicKey(key)), facts.spkiSha256)) {
    throw new GatehouseError("usage.bad-argument", "identity: the certificate is for another key");
  }
  const remote = {
    ...{ name: gatehouse.address, gatehouseId, address: gatehouse.address, grpc: gatehouse.grpc },
    ...{ identityKey: new Uint8Array(0), caCertificates, certificate, deviceName: "", role: "" },
    ...{ pairedAt: unixMs(0), certificateExpiresAt: facts.expiresAt },
  };
  return { remote, trust: new Trust(remote, { privateKeyPem: tlsKeyPem(key) }, idleMs) };
}

/** What is given is not repeated: it may be the key. */
function parsed<Result>(argument: string, parse: () => Result): Result {
  try {
    return parse();
  } catch {
    throw new GatehouseError("usage.bad-argument", `${argument}: not the PEM that it should be`);
  }
}
