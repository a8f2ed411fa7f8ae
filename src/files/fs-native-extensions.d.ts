/** The part of the package that is used here; it ships no types. */
declare module "fs-native-extensions" {
  /** Locks the whole file behind the descriptor, for writing; false when another descriptor holds a lock. */
  export function tryLock(descriptor: number): boolean;
}
