// A program that leaves it to the SDK how to sign in.
import { DefaultAzureCredential } from "@azure/identity";
import { live } from "./whole_life.mjs";

await live(new DefaultAzureCredential());
console.log("lived");
