export { checkCaCertificate } from "./authority.ts";
export { type CaCertificateInput, createCaCertificate } from "./ca-certificate.ts";
export { createRevocationList, type RevocationListInput, type RevokedCertificate } from "./crl.ts";
export { certificatePem, certificatesIn, keyIn, spkiOf } from "./encodings.ts";
export { certificateFacts, type InspectOptions, inspectLeaf, type LeafFacts } from "./inspect.ts";
export { type IssuedLeaf, issueLeaf, type LeafInput, selfSignedLeaf } from "./leaf.ts";
export { gatehouseHost, type LeafUsage } from "./profile.ts";
export { createTlsRequest, parseTlsRequest, type Requester, type TlsRequest } from "./request.ts";
