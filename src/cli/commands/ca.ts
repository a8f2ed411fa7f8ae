/** The authority that certifies devices and the gatehouse itself. */
import { chmod } from "node:fs/promises";
import { Option } from "commander";
import { EXIT, GatehouseError } from "../../core/index.ts";
import { writeAtomic } from "../../files/index.ts";
import { parseCount } from "../arguments.ts";
import { type AuthorityDocument, asAuthority, describeAuthority } from "../authority-document.ts";
import type { Commands, Context } from "../context.ts";
import { canAsk, confirm } from "../input.ts";
import { pem } from "../pem.ts";
import { type RemoteOption, type Session, withRemoteOption, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { relativeDate } from "../words.ts";

export function addCa(commands: Commands): void {
  const ca = commands.program
    .command("ca")
    .description("the authority that certifies this gatehouse's devices");
  const add = (usage: string, description: string) =>
    withRemoteOption(ca.command(usage).description(description));
  commands.bind(
    add("show", "show its generations, and the gatehouse's own certificate").option(
      "--pem",
      "print the authorities' certificates instead, newest first",
    ),
    show,
  );
  commands.bind(
    add("rotate", "make its next generation; devices change over as they renew").option(
      "--yes",
      "do not ask on a terminal",
    ),
    rotate,
  );
  commands.bind(
    add("renew", "renew the gatehouse's own certificate; connections stay").option(
      "--new-key",
      "for a new TLS key, too",
    ),
    renew,
  );
  commands.bind(
    add("crl", "print who was revoked, as X.509 revocation lists for other programs")
      .addOption(new Option("--pem", "as PEM, all generations in one text (the default)").conflicts("der"))
      .option("--der", "as DER, one generation")
      .option("--generation <n>", "of this generation alone")
      .option("--out <file>", "to a file, which is replaced at once and whole"),
    revocationLists,
  );
}

interface ShowOptions extends RemoteOption {
  readonly pem?: boolean;
}

async function show(context: Context, _args: readonly string[], options: ShowOptions): Promise<undefined> {
  const authority = await authorityOf(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Authority.Show, {}, call),
  );
  const { output } = context;
  if (options.pem === true && !output.isJson) {
    output.bytes(
      Buffer.from(authority.generations.map(({ certificate }) => certificatePem(certificate)).join("")),
    );
    return;
  }
  output.result(authority, () => describeAuthority(authority, { nowMs: Date.now(), style: output.style }));
}

function certificatePem(base64: string): string {
  return pem("CERTIFICATE", Buffer.from(base64, "base64"));
}

interface RotateOptions extends RemoteOption {
  readonly yes?: boolean;
}

async function rotate(
  context: Context,
  _args: readonly string[],
  options: RotateOptions,
): Promise<number | undefined> {
  const { output } = context;
  if (options.yes !== true && canAsk(context)) {
    output.note(
      "Devices trust the next generation once they have renewed; one that is off for longer than both are",
    );
    output.note("good has to be readmitted. Rotate when the authority's key may be known, not for routine.");
    if (!(await confirm(context, "Make the next generation?"))) {
      output.note("nothing was rotated");
      return EXIT.unexpected;
    }
  }
  const authority = await authorityOf(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Authority.Rotate, {}, call),
  );
  output.done(authority, () => describeAuthority(authority, { nowMs: Date.now(), style: output.style }));
  return undefined;
}

interface RenewOptions extends RemoteOption {
  readonly newKey?: boolean;
}

async function renew(context: Context, _args: readonly string[], options: RenewOptions): Promise<undefined> {
  const { newKey = false } = options;
  const authority = await authorityOf(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Authority.RenewServer, { newKey }, call),
  );
  const { expiresAt, serial } = authority.serverCertificate;
  context.output.done(authority, () => {
    const until = relativeDate(expiresAt, Date.now());
    return `renewed the gatehouse's own certificate; it expires ${until}, serial ${printable(serial)}`;
  });
}

async function authorityOf(
  context: Context,
  options: RemoteOption,
  ask: (session: Session) => Promise<Parameters<typeof asAuthority>[0]>,
): Promise<AuthorityDocument> {
  return asAuthority(await withSession(context, options, ask));
}

interface ListsOptions extends RemoteOption {
  readonly der?: boolean;
  readonly generation?: string;
  readonly out?: string;
}

interface RevocationList {
  readonly generation: number;
  readonly der: Uint8Array;
}

async function revocationLists(
  context: Context,
  _args: readonly string[],
  options: ListsOptions,
): Promise<undefined> {
  const { generation: text, out } = options;
  const wanted = text === undefined ? undefined : parseCount(text, "--generation", { min: 1 });
  const all = await withSession(context, options, fetchLists);
  const lists = wanted === undefined ? all : all.filter(({ generation }) => generation === wanted);
  if (lists.length === 0) {
    throw new GatehouseError(
      "usage.bad-argument",
      "the authority has no revocation list of that generation",
      {
        hint: "see its generations with: gatehouse ca show",
      },
    );
  }
  const bytes =
    options.der === true
      ? onlyOne(lists)
      : Buffer.from(lists.map(({ der }) => pem("X509 CRL", der)).join(""));
  const documents = lists.map(({ generation, der }) => ({
    generation,
    crl: Buffer.from(der).toString("base64"),
  }));
  if (out !== undefined) await writePublic(out, bytes);
  print(context, { lists: documents, out, bytes, isBinary: options.der === true });
}

/** Both come newest first, one list of each generation. */
async function fetchLists({ client, methods, options }: Session): Promise<readonly RevocationList[]> {
  const { lists } = await client.call(methods.Authority.RevocationList, {}, options);
  const { generations } = asAuthority(await client.call(methods.Authority.Show, {}, options));
  if (lists.length !== generations.length) {
    throw new GatehouseError("ca.rotating", "the authority rotated meanwhile", { hint: "ask again" });
  }
  return lists.map((der, index) => ({ generation: generations[index]?.number ?? 0, der }));
}

function onlyOne(lists: readonly RevocationList[]): Uint8Array {
  const [list, ...more] = lists;
  if (list !== undefined && more.length === 0) return list.der;
  const numbers = lists.map(({ generation }) => generation).join(", ");
  throw new GatehouseError(
    "usage.bad-argument",
    `there are lists of the generations ${numbers}; DER holds one`,
    {
      hint: "choose with --generation, or take PEM, which holds all of them",
    },
  );
}

/** Nothing in a revocation list is secret, and other users' programs are to read it. */
async function writePublic(path: string, bytes: Uint8Array): Promise<void> {
  await writeAtomic(path, bytes);
  await chmod(path, 0o644);
}

function print(
  { io, output }: Context,
  {
    lists,
    out,
    bytes,
    isBinary,
  }: {
    readonly lists: readonly object[];
    readonly out: string | undefined;
    bytes: Uint8Array;
    isBinary: boolean;
  },
): void {
  if (output.isJson) output.result({ lists, out }, () => "");
  else if (out !== undefined) output.done({}, () => `wrote ${printable(out)}`);
  else if (isBinary && io.stdout.isTTY === true) {
    throw new GatehouseError("usage.bad-argument", "DER is not text, and this is a terminal", {
      hint: "send it to a file with --out, or to a pipe",
    });
  } else output.bytes(bytes);
}
