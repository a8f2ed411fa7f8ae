/** What a QUIC stack that is not ours must find at a real door. */
import { LIMITS, Resources } from "../../src/core/index.ts";
import { type Credentials, credentialsOf } from "../support/credentials.ts";
import { type Daemon, Install, isObject, text } from "../support/gatehouse-process.ts";
import { pairDevice } from "../support/paired-device.ts";
import { TlsFixtures } from "../support/tls-fixtures.ts";
import { nextDatagram, rogueConfig, rogueConnection } from "../torture/rogue-peer.ts";
import { Sources } from "../torture/sources.ts";
import { type ForeignCall, QuicGo } from "./quic-go.ts";

/** TLS alerts as QUIC carries them: 0x100 + the alert's number (RFC 9001 §4.8). */
const UNKNOWN_AUTHORITY = 0x100 + 48;
const CERTIFICATE_REQUIRED = 0x100 + 116;
const NO_APPLICATION_PROTOCOL = 0x100 + 120;
const BAD_CERTIFICATE = 0x100 + 42;
const TLS_1_3 = "0x0304";
const PAYLOAD_BYTES_MAX = 65_536;
/** Some of a crowd are asked for proof themselves. */
const CROWD_SPARE = 16;

/** A built foreign client, a real daemon and what a device that paired with it is known by. */
export class Site implements AsyncDisposable {
  readonly client: QuicGo;
  readonly daemon: Daemon;
  readonly device: Credentials;
  /** Certificates of an authority that the daemon has never heard of. */
  readonly strangers: TlsFixtures;
  readonly #resources: Resources;

  private constructor(parts: Pick<Site, "client" | "daemon" | "device" | "strangers">, resources: Resources) {
    this.client = parts.client;
    this.daemon = parts.daemon;
    this.device = parts.device;
    this.strangers = parts.strangers;
    this.#resources = resources;
  }

  static async open(): Promise<Site> {
    await using resources = new Resources();
    const client = resources.use(await QuicGo.build());
    const install = resources.use(await Install.create());
    const daemon = resources.use(await install.serve(["--init", "--open-pairing"]));
    const device = await credentialsOf(resources.use(await pairDevice(daemon, "quic-go")));
    // From here on the door is strict: the window that was open ends with the device it was for.
    await daemon.event("paired");
    const strangers = new TlsFixtures("some other authority");
    resources.use({ [Symbol.asyncDispose]: async () => strangers[Symbol.dispose]() });
    return new Site({ client, daemon, device, strangers }, resources.move());
  }

  /** What the paired device would do; a case changes what it is about. */
  call(overrides: Partial<ForeignCall> = {}): ForeignCall {
    return {
      address: this.daemon.address,
      serverName: this.device.serverName,
      caPem: this.device.caPem,
      identity: this.device,
      payload: Buffer.from("across the stacks"),
      ...overrides,
    };
  }

  /** More unfinished handshakes, from other addresses than ours, than the door takes without asking for proof. */
  async crowd(): Promise<void> {
    using sources = await Sources.open(LIMITS.handshakesBeforeRetry + CROWD_SPARE, "strangers");
    const target = { port: this.daemon.port, serverName: this.device.serverName };
    const config = rogueConfig(target);
    const answered = new Set<number>();
    const first = new Promise<void>((resolve) =>
      sources.onDatagram((_datagram, index) => {
        if (answered.add(index).size === sources.size) resolve();
      }),
    );
    for (let index = 0; index < sources.size; index += 1) {
      const initial = nextDatagram(rogueConnection(target, config));
      if (initial !== undefined) sources.send(index, initial, target.port);
    }
    await first;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources[Symbol.asyncDispose]();
  }
}

/** What became of a call, in words that a case can state beforehand. */
export type Seen =
  | {
      /** Code of the close frame: empty for success. */
      readonly answered: string;
      readonly isEcho: boolean;
      /** It had to prove its address first (RFC 9000 §8.1.2). */
      readonly isRetried: boolean;
      readonly alpn: string;
      readonly tls: string;
    }
  | { readonly refusedBy: "door" | "client"; readonly code: unknown };

export interface Case {
  readonly title: string;
  readonly before?: (site: Site) => Promise<void>;
  readonly call: (site: Site) => Partial<ForeignCall>;
  readonly expected: Seen;
}

const ECHOED = { answered: "", isEcho: true, isRetried: false, alpn: "gatehouse/1", tls: TLS_1_3 };

export const CASES: readonly Case[] = [
  {
    title: "a paired device's key and certificate get a ping answered by the documented frames",
    call: () => ({}),
    expected: ECHOED,
  },
  {
    title: "an empty payload comes back empty",
    call: () => ({ payload: new Uint8Array() }),
    expected: ECHOED,
  },
  {
    title: "the largest payload comes back whole",
    call: () => ({ payload: Uint8Array.from({ length: PAYLOAD_BYTES_MAX }, (_, index) => index % 251) }),
    expected: ECHOED,
  },
  {
    title: "a payload above the bound is answered with a close frame that names the error",
    call: () => ({ payload: new Uint8Array(PAYLOAD_BYTES_MAX + 1) }),
    expected: { ...ECHOED, answered: "usage.bad-argument", isEcho: false },
  },
  {
    title:
      "while a crowd of strangers leaves handshakes unfinished, a client proves its address and is answered",
    before: (site) => site.crowd(),
    call: () => ({}),
    expected: { ...ECHOED, isRetried: true },
  },
  {
    title: "a client without a certificate is refused by TLS",
    call: () => ({ identity: undefined }),
    expected: { refusedBy: "door", code: CERTIFICATE_REQUIRED },
  },
  {
    title: "a self-signed certificate is refused by TLS",
    call: ({ strangers }) => ({ identity: strangers.selfSigned("self") }),
    expected: { refusedBy: "door", code: UNKNOWN_AUTHORITY },
  },
  {
    title: "a certificate of another authority is refused by TLS",
    call: ({ strangers }) => ({ identity: strangers.leaf("other", "clientAuth") }),
    expected: { refusedBy: "door", code: UNKNOWN_AUTHORITY },
  },
  {
    title: "an unknown protocol is refused by TLS",
    call: () => ({ alpn: "h3" }),
    expected: { refusedBy: "door", code: NO_APPLICATION_PROTOCOL },
  },
  {
    title: "a client that trusts another authority refuses the door",
    call: ({ strangers }) => ({ caPem: strangers.caPem }),
    expected: { refusedBy: "client", code: BAD_CERTIFICATE },
  },
  {
    title: "a client that expects another gatehouse refuses the door",
    call: ({ device }) => ({ serverName: `x${device.serverName}` }),
    expected: { refusedBy: "client", code: BAD_CERTIFICATE },
  },
  {
    title: "a client at an address that has failed proves that it is its own, and is answered",
    call: () => ({}),
    expected: { ...ECHOED, isRetried: true },
  },
];

/** Makes the call of one case. @throws when the foreign client itself fails. */
export async function see(site: Site, { before, call }: Case): Promise<Seen> {
  await before?.(site);
  const made = site.call(call(site));
  const outcome = await site.client.ping(made);
  if (outcome.kind === "refused") {
    const { code, remote } = outcome.refusal;
    return { refusedBy: remote === true ? "door" : "client", code };
  }
  const { close, payload, retries, alpn, tls } = outcome.answer;
  return {
    answered: isObject(close) ? text(close["code"]) : "no close frame",
    isEcho: payload === Buffer.from(made.payload).toString("hex"),
    isRetried: retries === 1,
    alpn: text(alpn),
    tls: text(tls),
  };
}
