"""The whole life of a secret through the official SDK. Runs against any Key Vault: only the environment differs."""

import os

from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

client = SecretClient(os.environ["AZURE_KEYVAULT_URL"], DefaultAzureCredential())
name = f"example-{os.getpid()}"

first = client.set_secret(name, "open sesame", content_type="text/plain", tags={"made-by": "example"})
print("set       ", first.id)
second = client.set_secret(name, "open barley")
print("get       ", client.get_secret(name).properties.version == second.properties.version)
print("older     ", client.get_secret(name, first.properties.version).value == "open sesame")
print("update    ", client.update_secret_properties(name, tags={"season": "autumn"}).tags)
print("list      ", sum(1 for each in client.list_properties_of_secrets() if each.name == name))
print("versions  ", sum(1 for _ in client.list_properties_of_secret_versions(name)))

backup = client.backup_secret(name)
deleted = client.begin_delete_secret(name).result()
print("delete    ", "can be saved until", deleted.scheduled_purge_date)
print("deleted   ", sum(1 for each in client.list_deleted_secrets() if each.name == name))
print("recover   ", client.begin_recover_deleted_secret(name).result().name)
client.begin_delete_secret(name).wait()
client.purge_deleted_secret(name)
print("purge     ", "done")
print("restore   ", client.restore_secret_backup(backup).version == second.properties.version)
client.begin_delete_secret(name).wait()
client.purge_deleted_secret(name)
