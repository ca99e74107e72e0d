"""`claviger keys rotate`: new root key, data keys and token signing key, while the server goes on serving."""

from __future__ import annotations

from pathlib import Path

import click

from claviger.audit.trail import BEGUN, DONE, staged, telling
from claviger.bootstrap import House
from claviger.cli.output import show_fields
from claviger.cli.session import data_option, in_house, json_option
from claviger.keyvault.directory.signing import rotate_signing_key


@click.group("keys")
def keys_commands() -> None:
    """The keys that seal everything else."""


@keys_commands.command("rotate")
@click.option("--root", is_flag=True, help="The root key: every data key is wrapped anew.")
@click.option("--data-keys", is_flag=True, help="The data keys: every stored value is sealed anew.")
@click.option("--signing", is_flag=True, help="The key that signs tokens; tokens in use stay good.")
@data_option
@json_option
def rotate(root: bool, data_keys: bool, signing: bool, data: Path | None, as_json: bool) -> None:
    """Rotates keys: the chosen kinds, or the root key and the data keys. Killed, it is finished by the next call."""
    if not (root or data_keys or signing):
        root = data_keys = True

    async def work(house: House) -> dict[str, object]:
        done: dict[str, object] = {}
        chosen = {"root": root, "data": data_keys, "signing": signing}
        telling(kinds=[name for name, wanted in chosen.items() if wanted])
        staged(BEGUN)
        await house.tell()  # before the first of its many changes
        if root:
            turned = await house.rotation.rotate_root_key()
            done["root_key_id"] = turned.root_key_id
            done["data_keys_wrapped_anew"] = turned.rewrapped_count
        if data_keys:
            renewed = await house.rotation.rotate_data_keys()
            done["values_sealed_anew"] = renewed.resealed_count
            done["data_keys_retired"] = renewed.retired_count
            done["data_keys_kept_for"] = list(renewed.kept_scopes)
        if signing:
            settings = house.settings
            done["signing_key_id"] = await rotate_signing_key(
                house.plain, house.keyring, house.clock, settings.token_lifetime_s
            )
        staged(DONE)
        return done

    show_fields(in_house(data, work, "Rotate keys", reveals=True), as_json)
