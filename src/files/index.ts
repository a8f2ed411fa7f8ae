export { AppendFile } from "./append-file.ts";
export { checkPrivate, checkPrivateTree, ensurePrivateDir, removeLeftovers, syncDir } from "./directories.ts";
export { type HomeLayout, homeLayout } from "./home-layout.ts";
export { lockHome } from "./home-lock.ts";
export { createOnce, readSmallFile, removeFile, writeAtomic } from "./small-files.ts";
