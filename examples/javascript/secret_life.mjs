// The whole life of a secret through the official SDK. Runs unchanged against any Key Vault: only the environment differs.
import { DefaultAzureCredential } from "@azure/identity";
import { SecretClient } from "@azure/keyvault-secrets";

const client = new SecretClient(process.env.AZURE_KEYVAULT_URL, new DefaultAzureCredential());
const name = `example-${process.pid}`;

async function count(pages, wanted) {
  let found = 0;
  for await (const each of pages) found += wanted(each) ? 1 : 0;
  return found;
}

const first = await client.setSecret(name, "open sesame", { contentType: "text/plain", tags: { "made-by": "example" } });
console.log("set       ", first.properties.id);
const second = await client.setSecret(name, "open barley");
const { version } = second.properties;
console.log("get       ", (await client.getSecret(name)).properties.version === version);
const older = await client.getSecret(name, { version: first.properties.version });
console.log("older     ", older.value === "open sesame");
const updated = await client.updateSecretProperties(name, version, { tags: { season: "autumn" } });
console.log("update    ", updated.tags);
console.log("list      ", await count(client.listPropertiesOfSecrets(), (each) => each.name === name));
console.log("versions  ", await count(client.listPropertiesOfSecretVersions(name), () => true));

const backup = await client.backupSecret(name);
const deleted = await (await client.beginDeleteSecret(name)).pollUntilDone();
console.log("delete    ", "can be saved until", deleted.scheduledPurgeDate.toISOString());
console.log("deleted   ", await count(client.listDeletedSecrets(), (each) => each.name === name));
console.log("recover   ", (await (await client.beginRecoverDeletedSecret(name)).pollUntilDone()).name);
await (await client.beginDeleteSecret(name)).pollUntilDone();
await client.purgeDeletedSecret(name);
console.log("purge     ", "done");
console.log("restore   ", (await client.restoreSecretBackup(backup)).version === version);
await (await client.beginDeleteSecret(name)).pollUntilDone();
await client.purgeDeletedSecret(name);
