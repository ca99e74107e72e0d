"""A program that leaves it to the SDK how to sign in."""

import os

import whole_life
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

with SecretClient(os.environ["AZURE_KEYVAULT_URL"], DefaultAzureCredential()) as client:
    whole_life.live(client)
print("lived")
