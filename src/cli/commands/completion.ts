import type { Command } from "commander";
import { GatehouseError } from "../../core/index.ts";
import type { Commands } from "../context.ts";

/** The words that may follow the words typed so far. */
interface Stop {
  /** `vault get`; empty for the program itself. */
  readonly path: string;
  readonly commands: readonly string[];
  readonly options: readonly string[];
  /** Options of the commands above, accepted here as well. */
  readonly inherited: readonly string[];
}

const SHELLS: Readonly<Record<string, (stops: readonly Stop[]) => string>> = { bash, zsh, fish };

export function addCompletion({ program, bind }: Commands): void {
  const command = program
    .command("completion <shell>")
    .description("print the completion script for bash, zsh or fish");
  bind(command, async ({ output }, [shell = ""]) => {
    const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
    if (script === undefined) {
      throw new GatehouseError("usage.bad-argument", "no completion for this shell", {
        hint: "one of bash, zsh, fish",
      });
    }
    const text = script(stops(program, "", []));
    output.result({ shell, script: text }, () => text);
    return undefined;
  });
}

function stops(command: Command, path: string, inherited: readonly string[]): readonly Stop[] {
  const options = command.options.flatMap(({ long, hidden }) => (hidden ? [] : (long ?? [])));
  const inner = command.commands.flatMap((child) =>
    stops(child, `${path} ${child.name()}`.trim(), [...inherited, ...options]),
  );
  return [{ path, commands: command.commands.map((child) => child.name()), options, inherited }, ...inner];
}

/** The words are ours (command and option names): nothing in them needs quoting. */
function bash(all: readonly Stop[]): string {
  const cases = all.map(
    ({ path, commands, options, inherited }) =>
      `    "${path}") words="${[...commands, ...options, ...inherited].join(" ")}" ;;`,
  );
  const paths = all.map((stop) => `"${stop.path}"`).join("|");
  return `_gatehouse() {
  local word path="" words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "\${path:+$path }$word" in ${paths}) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${cases.join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _gatehouse gatehouse`;
}

function zsh(all: readonly Stop[]): string {
  return `#compdef gatehouse
autoload -U +X bashcompinit && bashcompinit
${bash(all)}`;
}

function fish(all: readonly Stop[]): string {
  const lines = all.flatMap(({ path, commands, options }) => {
    const words = path === "" ? [] : path.split(" ");
    const seen = words.map((word) => `__fish_seen_subcommand_from ${word}`).join("; and ");
    const here = seen || "true";
    const unseen = `${here}; and not __fish_seen_subcommand_from ${commands.join(" ")}`;
    return [
      ...commands.map((name) => `complete -c gatehouse -f -n "${unseen}" -a ${name}`),
      ...options.map((name) => `complete -c gatehouse -n "${here}" -l ${name.slice(2)}`),
    ];
  });
  return lines.join("\n");
}
