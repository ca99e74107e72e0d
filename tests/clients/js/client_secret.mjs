// A program that signs in with a client secret at an authority of its own.
import { ClientSecretCredential } from "@azure/identity";
import { live } from "./whole_life.mjs";

const { AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_AUTHORITY_HOST } = process.env;
await live(
  new ClientSecretCredential(AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, {
    authorityHost: AZURE_AUTHORITY_HOST,
    disableInstanceDiscovery: true,
  }),
);
console.log("lived");
