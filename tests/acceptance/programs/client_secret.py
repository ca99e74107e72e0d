"""A program that signs in with a client secret at an authority of its own."""

import os
import sys

import whole_life  # type: ignore[import-not-found]  # beside this file
from azure.identity import ClientSecretCredential
from azure.keyvault.secrets import SecretClient

credential = ClientSecretCredential(
    os.environ["AZURE_TENANT_ID"],
    os.environ["AZURE_CLIENT_ID"],
    os.environ["AZURE_CLIENT_SECRET"],
    authority=os.environ["AZURE_AUTHORITY_HOST"],
    disable_instance_discovery=True,
)
with SecretClient(os.environ["AZURE_KEYVAULT_URL"], credential) as client:
    whole_life.live(client)
sys.stdout.write("lived\n")
