"""A program as it runs in a pipeline: credentials by AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET."""

import sys

from azure.identity import EnvironmentCredential
from azure.keyvault.secrets import SecretClient

with EnvironmentCredential() as credential, SecretClient("https://demo.vault.azure.net", credential) as client:
    client.set_secret("from-pipeline", "one")
    assert client.get_secret("from-pipeline").value == "one"
    sys.stdout.write("lived\n")
