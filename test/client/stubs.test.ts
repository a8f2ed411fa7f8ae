import { afterAll, beforeAll, describe, expect, expectTypeOf, it } from "vitest";
import { type CallOptions, type Client, connect, METHODS } from "../../src/client/index.ts";
import { Resources } from "../../src/core/index.ts";
import { PairedHomes } from "./paired-homes.ts";

describe("a client's stubs", () => {
  const resources = new Resources();
  let client: Client;

  beforeAll(async () => {
    const homes = resources.use(await PairedHomes.create());
    await homes.serve("hall");
    client = resources.use(await connect({ home: homes.home("hall") }));
  });
  afterAll(() => resources[Symbol.asyncDispose]());

  it("are there for every method of the schema, in lower camel case, and for nothing else", () => {
    const schema = Object.entries(METHODS).map(([service, methods]) => [
      lowerCamel(service),
      Object.keys(methods).map(lowerCamel),
    ]);
    const stubs = schema.map(([service]) => [service, Object.keys(Reflect.get(client, String(service)))]);
    expect(stubs).toEqual(schema);
    expect(stubs.length).toBeGreaterThan(10);
  });

  it("call the method they are named for", async () => {
    const { version } = await client.vault.put({ path: "a/b", value: Buffer.from("x") });
    expect(version).toBe(1);
    const { value } = await client.vault.get({ path: "a/b" });
    expect(Buffer.from(value).toString()).toBe("x");
    await expect(client.vault.get({ path: "a/c" })).rejects.toMatchObject({ code: "vault.not-found" });
  });

  it("pass a signal and a deadline on", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(client.vault.get({ path: "a/b" }, { signal })).rejects.toMatchObject({
      code: "rpc.cancelled",
    });
    const endless = client.approvals.watch({}, { timeoutMs: 50 });
    const all = async (): Promise<void> => {
      for await (const _update of endless);
    };
    await expect(all()).rejects.toMatchObject({ code: "rpc.deadline" });
  });

  it("answer a stream as something to loop over, which ends when the loop is left", async () => {
    const watching = client.approvals.watch({});
    for await (const update of watching) {
      expect(update.revision).toBeGreaterThan(0);
      break;
    }
    expect(await watching.next()).toEqual({ done: true, value: undefined });
  });

  it("say in their types what goes in and what comes out, inner messages included", () => {
    expectTypeOf(client.vault.list).toEqualTypeOf<
      (
        request: Parameters<Client["vault"]["list"]>[0],
        options?: CallOptions,
      ) => ReturnType<Client["vault"]["list"]>
    >();
    type Page = Awaited<ReturnType<Client["vault"]["list"]>>;
    expectTypeOf<Page["secrets"][number]["path"]>().toEqualTypeOf<string>();
    type Event = ReturnType<Client["tools"]["run"]> extends AsyncIterable<infer Each> ? Each : never;
    expectTypeOf<NonNullable<Event["output"]>["bytes"]>().toEqualTypeOf<Uint8Array>();
    // @ts-expect-error: the request has no such field.
    const request: Parameters<Client["vault"]["get"]>[0] = { pathh: "a" };
    expect(request).toEqual({ pathh: "a" });
  });
});

function lowerCamel(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
