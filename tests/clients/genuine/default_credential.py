"""A program as it runs in Azure: the vault by its address there, credentials left to the SDK."""

import sys

from azure.core.exceptions import ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

with DefaultAzureCredential() as credential, SecretClient("https://demo.vault.azure.net", credential) as client:
    made = client.set_secret("from-python", "one")
    assert (made.id or "").startswith("https://demo.vault.azure.net/secrets/from-python/"), made.id
    assert made.properties.vault_url == "https://demo.vault.azure.net"
    assert client.get_secret("from-python").value == "one"
    for number in range(30):  # more than one page: links are followed
        client.set_secret(f"page-{number}", "x")
    names = {each.name for each in client.list_properties_of_secrets()}
    assert {f"page-{number}" for number in range(30)} <= names
    client.begin_delete_secret("from-python").wait()
    client.purge_deleted_secret("from-python")
    try:
        client.get_secret("from-python")
    except ResourceNotFoundError:
        sys.stdout.write("lived\n")
