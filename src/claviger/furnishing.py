"""What a server makes at its start, by its settings: the first administrator, the demo, the seed, and the ways by which
the control plane gets into the embedded clouds. What was made once, and deleted since, is not made again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from claviger.audit.trail import Trail, following
from claviger.house import House
from claviger.keyvault.directory.control_plane import ControlPlaneAccess, seed_control_plane
from claviger.keyvault.directory.demo import seed_demo
from claviger.keyvault.moving.seed import read_seed
from claviger.keyvault.moving.seeding import Seeding
from claviger.ocikms.demo import furnish_demo
from claviger.ocikms.identity.control_plane import seed_control_plane as seed_oci_control_plane
from claviger.ocikms.identity.demo import Signer
from claviger.ocikms.identity.demo import seed_demo as seed_oci_demo


@dataclass
class Ways:
    """How the control plane signs in at the embedded clouds; None where it may not. Known once all is furnished."""

    azure: ControlPlaneAccess | None = None
    oci: Signer | None = None


async def furnish(house: House, ways: Ways, make_administrator: Callable[[], Awaitable[None]]) -> None:
    """Makes it all, and fills in the ways. Raises what the first part to fail raises, once the other has ended.

    Both parts at once: on a first start one hashes a password and the other makes RSA keys, a processor's work each.
    """
    await _side_by_side(_administrator(house, make_administrator), _clouds(house, ways))


async def _side_by_side(*parts: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _administrator(house: House, make: Callable[[], Awaitable[None]]) -> None:
    with following(_own_trail(house, "Make the first administrator")):
        await make()


async def _clouds(house: House, ways: Ways) -> None:
    settings = house.settings
    if settings.demo:
        with following(_own_trail(house, "Make the demo")):
            await seed_demo(house.store, house.notes, house.clock)
            await seed_oci_demo(house.store, house.notes, house.clock)
            slots = len(settings.vault_ports)
            await furnish_demo(house.store, house.keyring, house.notes, house.clock, slots=slots)
    if settings.seed is not None:
        seed = read_seed(settings.seed, os.environ, int(house.clock.now()))
        with following(_own_trail(house, "Apply the seed")):
            await Seeding(house.store, house.keyring, house.clock).apply(seed)
    if settings.demo:
        with following(_own_trail(house, "Let the control plane into the embedded clouds")):
            ways.azure = await seed_control_plane(house.store, house.notes, house.clock)
            ways.oci = await seed_oci_control_plane(house.store, house.notes, house.clock)


def _own_trail(house: House, action: str) -> Trail:
    """What a server does at its start by its settings, asked by whoever has set them."""
    return Trail(house.clock, origin="cli", service="claviger", action=action)
