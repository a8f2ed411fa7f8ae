import { readFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { homeLayout } from "../../src/files/index.ts";
import { METHODS } from "../../src/gen/index.ts";
import { credentialsIn } from "../support/credentials.ts";
import { Daemon, Install, text } from "../support/gatehouse-process.ts";
import { GrpcJsCaller } from "../support/grpc-js-caller.ts";

let [hall, phone, laptop]: (Install | undefined)[] = [];

beforeEach(async () => {
  hall = await Install.create("without QUIC");
  phone = await Install.create();
  laptop = await Install.create("without QUIC");
});
afterEach(async () => {
  for (const install of [hall, phone, laptop]) await install?.[Symbol.asyncDispose]();
});

function installs() {
  if (hall === undefined || phone === undefined || laptop === undefined) throw new Error("no installs");
  return { hall, phone, laptop };
}

const warnings = ({ stderr }: Daemon): readonly string[] =>
  stderr.split("\n").filter((line) => line.includes("quic-unavailable"));

describe("a gatehouse where the QUIC library has no binary", () => {
  it("serves gRPC alone, says so once, and is reached by its own command line and by devices", async () => {
    const { hall, phone, laptop } = installs();
    await using daemon = await hall.serve(["--init", "--name", "hall"]);
    const ready = await daemon.event("ready");
    expect(ready).toMatchObject({ quic: "", grpc: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
    expect(warnings(daemon)).toHaveLength(1);
    expect(warnings(daemon)[0]).toContain("linux-x64");
    const { endpointFile } = homeLayout(hall.home);
    const endpoint: unknown = JSON.parse(await readFile(endpointFile, "utf8"));
    expect(endpoint).toEqual({ grpc: ready["grpc"], pid: daemon.pid });

    expect(await hall.json(["status"])).toMatchObject({ quic: "", grpc: ready["grpc"], wire: "grpc" });
    expect((await hall.run(["status"])).stdout.toString()).toContain("no QUIC");
    await hall.json(["vault", "put", "api/token"], "s3cret");

    await using window = new Daemon(hall.spawn(["pair", "open", "--json"]));
    const { uri } = await window.event("open");
    expect(text(uri)).toContain(`gatehouse://${text(ready["grpc"])}/`);
    await phone.json(["pair", "join", text(uri), "--name", "phone"]);
    await window.event("paired");
    expect(await phone.json(["ping"])).toMatchObject({ wire: "grpc" });
    const credentials = await credentialsIn(phone.home);
    using caller = new GrpcJsCaller({
      ...{ ...credentials, identity: credentials, address: text(ready["grpc"]) },
    });
    expect((await caller.unary(METHODS.Health.Status, {})).quic).toBe("");

    await using second = new Daemon(hall.spawn(["pair", "open", "--json"]));
    const { code } = await second.event("open");
    await laptop.json(["pair", "join", daemon.address, "--code", text(code), "--name", "laptop"]);
    await second.event("paired");
    expect(await laptop.json(["ping"])).toMatchObject({ wire: "grpc" });
  });

  it("can be sealed and unsealed like any other", async () => {
    const { hall } = installs();
    await using daemon = await hall.serve(["--init"]);
    await hall.json(["seal"]);
    const isSealed = async () => (await hall.run(["status", "--json"])).stdout.toString().includes("sealed");
    while (!(await isSealed())) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await hall.json(["status"])).toMatchObject({ state: "sealed", quic: "", grpc: daemon.address });
    await hall.json(["unseal"]);
    expect(await hall.json(["status"])).toMatchObject({ state: "serving", quic: "", grpc: daemon.address });
  });

  it("listens where it was told to, and tells it whom it greets", async () => {
    const { hall } = installs();
    await using first = await hall.serve(["--init"]);
    const { address } = first;
    await first.stop();
    await using again = await hall.serve([], address);
    expect(again.address).toBe(address);
    await again.stop();
    const child = hall.spawn(["serve", "--listen", address]);
    const greeted = await new Promise<string>((resolve) => {
      let said = "";
      child.stdout?.on("data", (chunk: Buffer) => {
        said += chunk.toString();
        if (said.includes("home")) resolve(said);
      });
    });
    expect(greeted).toContain("no QUIC");
    expect(greeted).toContain(address);
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGTERM");
    await ended;
  });

  it("does not start with gRPC off: nothing would be served", async () => {
    const { hall } = installs();
    const result = await hall.run(["serve", "--init", "--listen", "127.0.0.1:0", "--grpc", "off", "--json"]);
    expect(result.errorCode).toBe("quic.unsupported-platform");
    expect(result.stdout.toString()).toContain("--grpc off");
  });
});
