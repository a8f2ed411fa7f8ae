/**
 * Environment variables by which loaders, shells, interpreters and widely used programs choose the code they run. A list
 * of what is known, to catch a mistake or a trap: no such list is ever complete.
 */
const NAMES: ReadonlySet<string> = new Set([
  // Where programs are found, and how shells start.
  ...[
    "PATH",
    "PATHEXT",
    "COMSPEC",
    "IFS",
    "ENV",
    "BASH_ENV",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
  ],
  ...["CDPATH", "FPATH", "ZDOTDIR", "SHELL", "HOME", "XDG_CONFIG_HOME", "XDG_DATA_DIRS", "XDG_CONFIG_DIRS"],
  // The C library.
  ...["GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "HOSTALIASES", "RESOLV_HOST_CONF", "GETCONF_DIR"],
  ...["OPENSSL_CONF", "OPENSSL_ENGINES", "OPENSSL_MODULES"],
  // Interpreters.
  ...["NODE_OPTIONS", "NODE_PATH", "NODE_REPL_EXTERNAL_MODULE", "BUN_OPTIONS", "DENO_DIR"],
  ...["PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE", "PYTHONBREAKPOINT", "PYTHONWARNINGS"],
  ...["PERL5LIB", "PERLLIB", "PERL5OPT", "PERL5DB", "RUBYLIB", "RUBYOPT", "GEM_HOME", "GEM_PATH"],
  ...["PHPRC", "PHP_INI_SCAN_DIR", "LUA_PATH", "LUA_CPATH", "LUA_INIT", "R_PROFILE_USER", "JULIA_LOAD_PATH"],
  ...["CLASSPATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "JAVA_HOME", "MAVEN_OPTS"],
  ...[
    "DOTNET_STARTUP_HOOKS",
    "CORECLR_PROFILER",
    "CORECLR_PROFILER_PATH",
    "COR_PROFILER",
    "COR_PROFILER_PATH",
  ],
  // Programs that start others.
  ...[
    "EDITOR",
    "VISUAL",
    "PAGER",
    "BROWSER",
    "LESSOPEN",
    "LESSCLOSE",
    "MANPAGER",
    "SSH_ASKPASS",
    "SUDO_ASKPASS",
  ],
  ...["RUSTC", "RUSTC_WRAPPER", "CC", "CXX", "MAKEFLAGS", "GOFLAGS", "WGETRC", "CURL_HOME", "INPUTRC"],
]);

const PREFIXES = ["LD_", "DYLD_", "GIT_", "BASH_FUNC_", "NPM_CONFIG_", "PIP_", "MALLOC_"] as const;

/** Whether `name`, in any case (Windows knows none), may change which code a command runs. */
export function isLoaderVariable(name: string): boolean {
  const upper = name.toUpperCase();
  return NAMES.has(upper) || PREFIXES.some((prefix) => upper.startsWith(prefix));
}
