"""A program as it runs in Azure China: vault, login host and token audience are those of that cloud."""

import sys

from azure.identity import AzureAuthorityHosts, EnvironmentCredential
from azure.keyvault.secrets import SecretClient

with (
    EnvironmentCredential(authority=AzureAuthorityHosts.AZURE_CHINA) as credential,
    SecretClient("https://demo.vault.azure.cn", credential) as client,
):
    made = client.set_secret("from-china", "one")
    assert (made.id or "").startswith("https://demo.vault.azure.cn/secrets/from-china/"), made.id
    sys.stdout.write("lived\n")
