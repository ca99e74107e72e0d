// A program that runs with a managed identity.
import { ManagedIdentityCredential } from "@azure/identity";
import { live } from "./whole_life.mjs";

await live(new ManagedIdentityCredential());
console.log("lived");
