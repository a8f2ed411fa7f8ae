export { keyFileProvider } from "./key-file.ts";
export { isKeyId, type KeyProvider, type ProvidedKey } from "./key-provider.ts";
