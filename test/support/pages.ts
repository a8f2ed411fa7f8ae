/** The programs that pages of ours show. */
import { readFile } from "node:fs/promises";

/** What `page`, a path from the top, shows as `name`: the code after the line `<!-- program NAME -->`. */
export async function programIn(page: string, name: string): Promise<string> {
  const program = (await programsIn(page)).get(name);
  if (program === undefined) throw new Error(`${page} does not show ${name}`);
  return program;
}

/** All of them, by name. @throws when two have the same. */
export async function programsIn(page: string): Promise<ReadonlyMap<string, string>> {
  const text = await readFile(new URL(`../../${page}`, import.meta.url), "utf8");
  const found = [...text.matchAll(/^<!-- program (\S+) -->\n```\w+\n(.*?)^```$/gmsu)];
  const programs = new Map(found.map(([, name = "", program = ""]) => [name, program]));
  if (programs.size !== found.length) throw new Error(`${page} shows two programs of one name`);
  return programs;
}
