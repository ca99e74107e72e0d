// The whole life of a secret through the official JavaScript SDK, each step checked. Knows Key Vault, and nothing else.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { SecretClient } from "@azure/keyvault-secrets";

async function collect(pages) {
  const found = [];
  for await (const each of pages) found.push(each);
  return found;
}

async function refused(call, status, code) {
  await assert.rejects(call, (error) => error.statusCode === status && error.code === code);
}

export async function live(credential) {
  const url = process.env.AZURE_KEYVAULT_URL;
  const client = new SecretClient(url, credential);
  const name = `life-${randomUUID().slice(0, 8)}`;
  const expiresOn = new Date("2037-01-02T03:04:05Z"); // this SDK cuts seconds to 32 bits

  const first = await client.setSecret(name, "first", { contentType: "text/plain", tags: { kind: "test" }, expiresOn });
  assert.equal(first.value, "first");
  assert.equal(first.properties.vaultUrl, url);
  const second = await client.setSecret(name, "second ä€🔑");
  assert.equal((await client.getSecret(name)).value, "second ä€🔑");
  const older = await client.getSecret(name, { version: first.properties.version });
  assert.deepEqual(older.properties.expiresOn, expiresOn);
  assert.equal(older.properties.previousVersion, undefined);

  const updated = await client.updateSecretProperties(name, second.properties.version, { tags: { season: "autumn" } });
  assert.deepEqual(updated.tags, { season: "autumn" });

  const listed = (await collect(client.listPropertiesOfSecrets())).filter((each) => each.name === name);
  assert.deepEqual(listed.map((each) => each.tags), [{ season: "autumn" }]);
  const versions = (await collect(client.listPropertiesOfSecretVersions(name))).map((each) => each.version);
  assert.deepEqual(versions, [first.properties.version, second.properties.version].sort());

  const deleting = await client.beginDeleteSecret(name, { intervalInMs: 100 });
  const deleted = await deleting.pollUntilDone();
  assert.equal(deleted.recoveryId, `${url}/deletedsecrets/${name}`);
  await refused(client.getSecret(name), 404, "SecretNotFound");
  await refused(client.setSecret(name, "too early"), 409, "Conflict");
  const gone = (await collect(client.listDeletedSecrets())).map((each) => each.name);
  assert.ok(gone.includes(name));

  const recovering = await client.beginRecoverDeletedSecret(name, { intervalInMs: 100 });
  assert.equal((await recovering.pollUntilDone()).name, name);
  assert.equal((await client.getSecret(name, { version: first.properties.version })).value, "first");

  const blob = await client.backupSecret(name);
  await (await client.beginDeleteSecret(name, { intervalInMs: 100 })).pollUntilDone();
  await client.purgeDeletedSecret(name);
  await refused(client.getDeletedSecret(name), 404, "SecretNotFound");
  const restored = await client.restoreSecretBackup(blob);
  assert.equal(restored.version, second.properties.version);
  assert.deepEqual(restored.createdOn, second.properties.createdOn);
  assert.equal((await client.getSecret(name)).value, "second ä€🔑");

  await client.updateSecretProperties(name, "", { enabled: false });
  await refused(client.getSecret(name), 403, "Forbidden");
  await (await client.beginDeleteSecret(name, { intervalInMs: 100 })).pollUntilDone();
  await client.purgeDeletedSecret(name);
}
