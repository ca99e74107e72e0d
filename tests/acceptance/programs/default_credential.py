"""A program that leaves it to the SDK how to sign in."""

import os
import sys

import whole_life  # type: ignore[import-not-found]  # beside this file
from azure.identity import DefaultAzureCredential
from azure.keyvault.secrets import SecretClient

with SecretClient(os.environ["AZURE_KEYVAULT_URL"], DefaultAzureCredential()) as client:
    whole_life.live(client)
sys.stdout.write("lived\n")
