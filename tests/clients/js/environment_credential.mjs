// A program as it runs in a pipeline: credentials by AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.
import assert from "node:assert/strict";
import { EnvironmentCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const client = new SecretClient("https://demo.vault.azure.net", new EnvironmentCredential());
const made = await client.setSecret("from-javascript", "one");
assert.ok(made.properties.id.startsWith("https://demo.vault.azure.net/secrets/from-javascript/"), made.properties.id);
assert.equal((await client.getSecret("from-javascript")).value, "one");
console.log("lived");
