/** The named peer: `@grpc/grpc-js`, mutual TLS, a bare unary echo of raw bytes (no protobuf to slow it). */
import * as grpc from "@grpc/grpc-js";
import {
  type Caller,
  type ContenderClient,
  type EchoServer,
  PAYLOADS,
  SERVER_NAME,
  type TlsMaterial,
} from "../contender.ts";
import { keepTickets, ResumingCredentials } from "./grpc-resumption.ts";

const ECHO_PATH = "/bench.Echo/Echo";
const asIs = (bytes: Buffer): Buffer => bytes;

export async function serveGrpcEcho(tls: TlsMaterial, host: string): Promise<EchoServer> {
  const server = new grpc.Server();
  server.addService(
    {
      echo: {
        path: ECHO_PATH,
        requestStream: false,
        responseStream: false,
        requestSerialize: asIs,
        requestDeserialize: asIs,
        responseSerialize: asIs,
        responseDeserialize: asIs,
      },
    },
    {
      echo: (call: grpc.ServerUnaryCall<Buffer, Buffer>, answer: grpc.sendUnaryData<Buffer>) =>
        answer(null, call.request),
    },
  );
  return listenGrpc(server, tls, host);
}

/** Takes `server`, with its services. */
export async function listenGrpc(server: grpc.Server, tls: TlsMaterial, host: string): Promise<EchoServer> {
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:0`, serverCredentials(tls), (failure, bound) =>
      failure === null ? resolve(bound) : reject(failure),
    );
  });
  return {
    port,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}

export function grpcClient(tls: TlsMaterial, host: string, port: number): ContenderClient {
  // Kept over connections, TLS context and all, as our own client keeps its: a cold start is a new connection.
  const credentials = clientCredentials(tls);
  const kept = keepTickets(tls);
  const address = `${host}:${port}`;
  const cold = async (): Promise<Caller> => connect(credentials, address);
  const resumed = async (): Promise<Caller> => {
    const resuming = new ResumingCredentials(kept);
    return { ...connect(resuming, address), start: () => (resuming.isResumed ? "resumed" : "cold") };
  };
  return { connect: cold, starts: { cold, resumed } };
}

export const clientOptions: grpc.ClientOptions = {
  "grpc.ssl_target_name_override": SERVER_NAME,
  "grpc.default_authority": SERVER_NAME,
  // Each client its own connection: a cold start must not ride on an earlier one.
  "grpc.use_local_subchannel_pool": 1,
};

function connect(credentials: grpc.ChannelCredentials, address: string): Caller {
  const client = new grpc.Client(address, credentials, clientOptions);
  return {
    established: () => untilReady(client),
    call: (operation) => echo(client, PAYLOADS[operation]),
    [Symbol.asyncDispose]: async () => client.close(),
  };
}

function untilReady(client: grpc.Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.waitForReady(Number.POSITIVE_INFINITY, (failure) =>
      failure === undefined ? resolve() : reject(failure),
    );
  });
}

function echo(client: grpc.Client, payload: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(ECHO_PATH, asIs, asIs, payload, (failure, reply) => {
      if (failure !== null) reject(failure);
      else if (reply?.length !== payload.length) reject(new Error("grpc-js: the echo has another length"));
      else resolve();
    });
  });
}

function serverCredentials({ ca, certificate, key }: TlsMaterial): grpc.ServerCredentials {
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(certificate) };
  return grpc.ServerCredentials.createSsl(Buffer.from(ca), [pair], true);
}

export function clientCredentials({ ca, certificate, key }: TlsMaterial): grpc.ChannelCredentials {
  return grpc.credentials.createSsl(Buffer.from(ca), Buffer.from(key), Buffer.from(certificate));
}
