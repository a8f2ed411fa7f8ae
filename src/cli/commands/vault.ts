import { Option } from "commander";
import { gathered } from "../arguments.ts";
import type { Commands } from "../context.ts";
import { withRemoteOption } from "../session.ts";
import { destroy, remove, undelete } from "./vault-endings.ts";
import { importSecrets } from "./vault-import.ts";
import { history, list } from "./vault-listing.ts";
import { get, put } from "./vault-values.ts";

export function addVault(commands: Commands): void {
  const vault = commands.program.command("vault").description("keep and fetch secrets");
  const add = (usage: string, description: string) =>
    withRemoteOption(vault.command(usage).description(description));
  commands.bind(
    add("put <path>", "store a value from standard input, a file, or typed without echo")
      .option("--file <file>", "take the value from a file, byte for byte; - is standard input")
      .option("--ttl <duration>", "forget it after so long, such as 30m, 12h or 90d; never by default")
      .option("--label <key=value>", "label the path, again for more; replaces all it had", gathered)
      .option("--clear-labels", "take all labels from the path")
      .option("--content-type <type>", "what the value is, such as application/json")
      .option("--if-version <n>", "only if this is the newest version; 0: only if there is none"),
    put,
  );
  commands.bind(
    add("get <path>", "write a value to standard output, byte for byte").option(
      "--version <n>",
      "an older version",
    ),
    get,
  );
  commands.bind(
    add("ls [prefix]", "list the secrets you may see, below a folder")
      .option("--label <key=value>", "only those with this label, again for more of them", gathered)
      .option("--removed", "also what was removed and can be undeleted"),
    list,
  );
  commands.bind(add("history <path>", "list the versions of a secret and what became of them"), history);
  commands.bind(
    add("rm <path>", "remove a secret; its versions stay until destroyed").option(
      "--if-version <n>",
      "only if this is the newest version",
    ),
    remove,
  );
  commands.bind(add("undelete <path>", "take back the removal of a secret"), undelete);
  commands.bind(
    add("destroy <path>", "erase one version or all of them from the vault; it cannot be taken back")
      .option("--version <n>", "this version")
      .option("--all", "every version, and the path with them")
      .option("--if-version <n>", "only if this is the newest version, removed or not")
      .option("--yes", "do not ask on a terminal"),
    destroy,
  );
  commands.bind(
    add("import <file>", "store the values of a .env or JSON file, each under a path of its own")
      .option("--prefix <path>", "the folder to store them in")
      .addOption(
        new Option("--format <format>", "what the file is; by its name by default").choices(["env", "json"]),
      )
      .option("--dry-run", "check everything and store nothing")
      .addOption(
        new Option("--if-absent", "leave paths alone that have a value already").conflicts("overwrite"),
      )
      .option("--overwrite", "store new versions where there are values already"),
    importSecrets,
  );
}
