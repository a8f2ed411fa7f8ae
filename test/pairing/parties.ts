import {
  createCaCertificate,
  createTlsRequest,
  issueLeaf,
  parseTlsRequest,
  selfSignedLeaf,
} from "../../src/certs/index.ts";
import { type Clock, silentLogger, systemRandom } from "../../src/core/index.ts";
import { generateTlsKey } from "../../src/crypto/index.ts";
import { DeviceIdentity, deviceIdOf } from "../../src/identity/index.ts";
import {
  type Enroll,
  type EnrollRequest,
  PairingInitiator,
  type PairingInitiatorOptions,
  type PairingOutput,
  PairingResponder,
  type PairingResponderOptions,
  type PairingResult,
  type PairingSecret,
  type PairingWindow,
} from "../../src/pairing/index.ts";
import { ManualClock } from "../support/manual-clock.ts";

const random = systemRandom;

/** A device about to pair: identity, the certificate it shows in TLS, its request. */
export interface TestJoiner {
  readonly identity: DeviceIdentity;
  readonly certificate: Uint8Array;
  readonly certificateRequest: Uint8Array;
}

export async function makeJoiner(clock: Clock = new ManualClock()): Promise<TestJoiner> {
  const identity = DeviceIdentity.generate(random);
  return {
    identity,
    certificate: await selfSignedLeaf(identity, clock.now(), random),
    certificateRequest: await createTlsRequest(identity),
  };
}

/** A gatehouse with an authority, and a memory of whom it enrolled. */
export interface TestGatehouse {
  readonly identity: DeviceIdentity;
  readonly certificate: Uint8Array;
  readonly enroll: Enroll;
  readonly enrolled: EnrollRequest[];
}

export async function makeGatehouse(clock = new ManualClock()): Promise<TestGatehouse> {
  const identity = DeviceIdentity.generate(random);
  const gatehouseId = identity.id;
  const caKey = generateTlsKey(random);
  const now = clock.now();
  const caCertificate = await createCaCertificate({ key: caKey, gatehouseId, generation: 1, now, random });
  const leaf = { gatehouseId, caCertificate, caKey, now, random };
  const server = await issueLeaf({
    ...leaf,
    usage: "server",
    deviceId: identity.id,
    spki: identity.tls.spki,
  });
  const enrolled: EnrollRequest[] = [];
  const enroll: Enroll = async (request) => {
    const { spki } = await parseTlsRequest(request.certificateRequest);
    const deviceId = deviceIdOf(request.identityKey);
    const device = await issueLeaf({ ...leaf, usage: "device", deviceId, spki });
    enrolled.push(request);
    const { name, role } = request;
    return { deviceId, name, role, certificate: device.der, caCertificates: [caCertificate] };
  };
  return { identity, certificate: server.der, enroll, enrolled };
}

export interface Meeting {
  readonly gatehouse: TestGatehouse;
  readonly joiner: TestJoiner;
  readonly window: PairingWindow | undefined;
  readonly secret: PairingSecret;
  readonly asResponder?: Partial<PairingResponderOptions>;
  readonly asInitiator?: Partial<PairingInitiatorOptions>;
  /** Answers whoever asks about the joiner, once it was told that somebody is asked. */
  readonly decide?: () => void;
}

export function machines({ gatehouse, joiner, window, secret, asResponder, asInitiator }: Meeting): {
  readonly initiator: PairingInitiator;
  readonly responder: PairingResponder;
} {
  const responder = new PairingResponder({
    ...{ window, random, logger: silentLogger, gatehouseName: "home" },
    identity: gatehouse.identity,
    certificate: gatehouse.certificate,
    ...{ peerCertificate: joiner.certificate, binding: { kind: "none" } },
    enroll: gatehouse.enroll,
    ...asResponder,
  });
  const initiator = new PairingInitiator({
    ...{ secret, random, clock: new ManualClock(), name: "laptop", kind: "cli", platform: "linux x64" },
    identity: joiner.identity,
    certificate: joiner.certificate,
    ...{ peerCertificate: gatehouse.certificate, binding: { kind: "none" } },
    certificateRequest: joiner.certificateRequest,
    ...asInitiator,
  });
  return { initiator, responder };
}

/** The messages of a whole exchange in order of sending. */
export const MESSAGES = [
  ...["joiner's hello", "gatehouse's hello", "joiner's share", "gatehouse's share"],
  ...["joiner's confirmation", "gatehouse's confirmation", "request", "grant", "acknowledgement"],
] as const;

/** The same where somebody is asked. */
export const MESSAGES_ASKING = [...MESSAGES.slice(0, 7), "pending", ...MESSAGES.slice(7)] as const;

export interface Outcome {
  readonly result: PairingResult | undefined;
  readonly joinerFailure: string | undefined;
  readonly gatehouseFailure: string | undefined;
  /** What was sent, before tampering. */
  readonly sent: readonly Uint8Array[];
}

/** What the network does to message number `index`; `undefined` drops the link there. */
export type Network = (bytes: Uint8Array, index: number) => Uint8Array | undefined;

/** Runs an exchange to its end, or to where the network cuts it; both sides then hear that the link is gone. */
export async function meet(meeting: Meeting, network: Network = (bytes) => bytes): Promise<Outcome> {
  const { initiator, responder } = machines(meeting);
  const sent: Uint8Array[] = [];
  const carry = (bytes: Uint8Array): Uint8Array | undefined => {
    sent.push(bytes);
    return network(bytes, sent.length - 1);
  };
  let result: PairingResult | undefined;
  let joined: PairingOutput | undefined;
  let answered: PairingOutput | undefined;
  /** Carries what the gatehouse says to the joiner, and answers what that says to it; nothing when the link is cut. */
  const hear = (answer: PairingOutput): Uint8Array => {
    answered = answer;
    const back = answer.bytes.length === 0 ? undefined : carry(answer.bytes);
    if (back === undefined) return new Uint8Array(0);
    joined = initiator.receive(back);
    result ??= initiator.result;
    return initiator.result === undefined ? joined.bytes : initiator.acknowledge();
  };
  for (let up: Uint8Array = initiator.start(); up.length > 0; ) {
    const arrived = carry(up);
    if (arrived === undefined) break;
    const answer = await responder.receive(arrived);
    up = hear(answer);
    if (answer.later === undefined) continue;
    meeting.decide?.();
    up = hear(await answer.later);
  }
  responder.end();
  return {
    result,
    joinerFailure: joined?.failure?.code,
    gatehouseFailure: answered?.failure?.code,
    sent,
  };
}
