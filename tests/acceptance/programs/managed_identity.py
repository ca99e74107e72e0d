"""A program that runs with a managed identity."""

import os

import whole_life
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

with SecretClient(os.environ["AZURE_KEYVAULT_URL"], ManagedIdentityCredential()) as client:
    whole_life.live(client)
print("lived")
