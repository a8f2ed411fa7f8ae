export { AppendFile } from "./append-file.ts";
export {
  checkPrivate,
  checkPrivateTree,
  checkTrusted,
  ensurePrivateDir,
  removeLeftovers,
  syncDir,
} from "./directories.ts";
export {
  type ListedFile,
  listFiles,
  listNames,
  removeExpendable,
  takeExpendable,
  writeExpendable,
} from "./expendable.ts";
export { type HomeLayout, homeLayout } from "./home-layout.ts";
export { lockHome } from "./home-lock.ts";
export { createOnce, moveFile, readSmallFile, removeFile, writeAtomic } from "./small-files.ts";
export { isLocked, tryLockFile } from "./try-lock.ts";
export { withUpdateLock } from "./update-lock.ts";
