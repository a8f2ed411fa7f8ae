/** How secrets end: hidden, brought back, or gone for good. */
import { EXIT, GatehouseError } from "../../core/index.ts";
import { versionCondition, versionNumber } from "../arguments.ts";
import type { Context } from "../context.ts";
import { askLine, canAsk } from "../input.ts";
import { listVersions, versionTable } from "../secret-document.ts";
import { type RemoteOption, type Session, withSession } from "../session.ts";
import { printable } from "../style.ts";
import { plural } from "../words.ts";

interface RemoveOptions extends RemoteOption {
  readonly ifVersion?: string;
}

export async function remove(
  context: Context,
  [path = ""]: readonly string[],
  options: RemoveOptions,
): Promise<undefined> {
  const condition = versionCondition(options.ifVersion);
  const removed = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Vault.Remove, { path, ...condition }, call),
  );
  const { version } = removed;
  context.output.done(
    { path: removed.path, version },
    () => `removed ${printable(removed.path)}, which was at version ${version}`,
  );
}

export async function undelete(
  context: Context,
  [path = ""]: readonly string[],
  options: RemoteOption,
): Promise<undefined> {
  const restored = await withSession(context, options, ({ client, methods, options: call }) =>
    client.call(methods.Vault.Undelete, { path }, call),
  );
  const { version } = restored;
  context.output.done(
    { path: restored.path, version },
    () => `${printable(restored.path)} is back, at version ${version}`,
  );
}

interface DestroyOptions extends RemoteOption {
  readonly version?: string;
  readonly all?: boolean;
  readonly ifVersion?: string;
  readonly yes?: boolean;
}

export async function destroy(
  context: Context,
  [path = ""]: readonly string[],
  options: DestroyOptions,
): Promise<number | undefined> {
  const { output } = context;
  const version = chosenVersion(options);
  const given = versionCondition(options.ifVersion);
  if (options.yes !== true && !canAsk(context)) throw needsYes();
  return withSession(context, options, async (session) => {
    const seen = options.yes === true ? {} : await consent(context, session, { path, version });
    if (seen === undefined) return EXIT.unexpected;
    const { client, methods, options: call } = session;
    const request = { path, version, ...seen, ...given };
    const destroyed = await client.call(methods.Vault.Destroy, request, call);
    const versions = [...destroyed.versions];
    output.done(
      { path: destroyed.path, versions },
      () => `destroyed ${plural(versions.length, "version")} of ${printable(destroyed.path)}, for good`,
    );
    return undefined;
  });
}

/** 0 for all of them; one or the other must be said. */
function chosenVersion({ version, all = false }: DestroyOptions): number {
  if (all !== (version === undefined)) {
    throw new GatehouseError("usage.bad-argument", "destroy takes either --version N or --all", {
      hint: "see the versions with: gatehouse vault history PATH",
    });
  }
  return versionNumber(version);
}

/**
 * Shows what is there and has the path typed again. Answers the condition under which that consent holds: nobody has
 * stored anything since; `undefined` when it was not given.
 */
async function consent(
  context: Context,
  session: Session,
  { path, version }: { readonly path: string; readonly version: number },
): Promise<{ readonly ifVersion: number } | undefined> {
  const { output } = context;
  const versions = await listVersions(session, path);
  output.note(versionTable(versions, { nowMs: Date.now(), style: output.noteStyle }));
  const what = version === 0 ? "Every version" : `Version ${version}`;
  output.note(`${what} will be erased. It cannot be taken back.`);
  const typed = await askLine(context, "type the path to destroy it: ");
  const newest = versions[0]?.version;
  if (typed.trim() === path && newest !== undefined) return { ifVersion: newest };
  output.note("nothing was destroyed");
  return undefined;
}

function needsYes(): GatehouseError<"usage.bad-argument"> {
  return new GatehouseError("usage.bad-argument", "nobody is here to be asked whether to destroy it", {
    hint: "give --yes; what is destroyed cannot be taken back",
  });
}
