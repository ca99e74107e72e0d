"""A program that runs with a managed identity."""

import os
import sys

import whole_life  # type: ignore[import-not-found]  # beside this file
from azure.identity import ManagedIdentityCredential
from azure.keyvault.secrets import SecretClient

with SecretClient(os.environ["AZURE_KEYVAULT_URL"], ManagedIdentityCredential()) as client:
    whole_life.live(client)
sys.stdout.write("lived\n")
