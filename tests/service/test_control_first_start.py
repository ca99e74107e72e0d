"""The first start and the commands of `claviger admin`: how the first administrator gets in, and back in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from claviger import bootstrap
from claviger.cckm.access.first import ensure_admin, reset_password, take_one_time_password
from claviger.cckm.access.passwords import Passwords
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cli.main import main
from claviger.core.clock import SystemClock
from claviger.core.errors import Misconfigured, NotFound
from claviger.core.sensitive import Sensitive
from claviger.settings import load_settings
from tests.control import CHEAP, PASSWORD, Control, domain_with_admin, open_control

OTHER = "another-password-1"


async def again(control: Control, preset: str | None = None) -> None:
    """As a later start does."""
    given = None if preset is None else Sensitive(preset)
    await ensure_admin(control.store, control.passwords, control.notes, control.clock, given)


async def test_the_first_admin_signs_in_once_with_the_one_time_password_and_changes_it(database_url: str) -> None:
    async with open_control(database_url, preset=None) as control:
        password = await take_one_time_password(control.notes)
        assert password is not None
        assert await take_one_time_password(control.notes) is None
        client = await control.signed_in("admin", password.reveal_text())
        assert client.tokens["password_change_required"] is True
        await client.ask("GET", "/usermgmt/users", expect=403)
        body = {"password": password.reveal_text(), "new_password": OTHER}
        await client.ask("PATCH", "/auth/changepw", body, expect=204)
        client = await control.signed_in("admin", OTHER)
        shown = await client.accept("GET", "/auth/self/user")
        assert shown["groups"] == ["admin"]
        await again(control)
        await again(control, PASSWORD)
        await control.signed_in("admin", OTHER)
        assert await take_one_time_password(control.notes) is None
        assert (await client.accept("GET", "/usermgmt/users"))["total"] == 1


async def test_a_one_time_password_that_was_changed_is_never_shown(database_url: str) -> None:
    async with open_control(database_url, preset=None) as control:
        kept = await control.notes.get("admin-one-time-password")
        assert kept is not None
        body = {"username": "admin", "password": kept.reveal_text(), "new_password": OTHER}
        await control.client().ask("PATCH", "/auth/changepw", body, expect=204)
        assert await take_one_time_password(control.notes) is None


async def test_a_preset_password_needs_no_change(database_url: str) -> None:
    async with open_control(database_url) as control:
        client = await control.signed_in()
        assert "password_change_required" not in client.tokens
        assert await take_one_time_password(control.notes) is None
        await again(control, OTHER)
        await control.signed_in()


async def test_a_preset_password_that_is_too_weak_is_refused(sqlite_url: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        async with open_control(sqlite_url, preset="admin"):
            pass
    assert refused.value.facts["setting"] == "CLAVIGER_ADMIN_PASSWORD"


async def test_servers_that_start_at_once_agree_on_one_admin(database_url: str) -> None:
    async with open_control(database_url) as first:
        await first.store.write(lambda tx: [tx.execute(f"DELETE FROM {table}") for table in _TABLES])
        async with open_control(database_url, first.clock, preset=None) as second:
            await second.store.write(lambda tx: [tx.execute(f"DELETE FROM {table}") for table in _TABLES])
            await second.notes.delete("admin-one-time-password")
            await asyncio.gather(*(again(control) for control in (first, second, first)))
            password = await take_one_time_password(second.notes)
            assert password is not None
            await first.signed_in("admin", password.reveal_text())


_TABLES = ("cckm_refresh_tokens", "cckm_members", "cckm_users", "cckm_groups", "cckm_domains")


async def test_a_start_that_was_cut_short_is_made_good(sqlite_url: str) -> None:
    async with open_control(sqlite_url) as control:
        await control.store.write(lambda tx: [tx.execute(f"DELETE FROM {table}") for table in _TABLES])
        await control.notes.put("admin-one-time-password", Sensitive("kept-by-the-start-before"))
        await again(control)
        await control.signed_in("admin", "kept-by-the-start-before")


async def test_a_reset_lets_back_in_and_ends_everything_before(database_url: str) -> None:
    async with open_control(database_url) as control:
        client = await control.signed_in()
        for _ in range(5):
            await control.client().ask("POST", "/auth/tokens", {"username": "admin", "password": "x"}, expect=401)
        args = (control.store, control.passwords, control.notes, control.clock)
        password = await reset_password(*args, "ADMIN", "root")
        await client.ask("GET", "/domain", expect=401)
        refresh = {"grant_type": "refresh_token", "refresh_token": client.tokens["refresh_token"]}
        await client.ask("POST", "/auth/tokens", refresh, expect=401)
        again_in = await control.signed_in("admin", password.reveal_text())
        assert again_in.tokens["password_change_required"] is True
        for name, domain in (("nobody", "root"), ("admin", "nowhere")):
            with pytest.raises(NotFound):
                await reset_password(*args, name, domain)


async def test_a_reset_reaches_users_of_other_domains(sqlite_url: str) -> None:
    async with open_control(sqlite_url) as control:
        root = await control.signed_in()
        domain_id, boss = await domain_with_admin(control, root, "shop")
        made = await boss.accept("POST", "/usermgmt/users", {"username": "ada", "password": PASSWORD})
        assert made["auth_domain"] == domain_id != ROOT_DOMAIN
        args = (control.store, control.passwords, control.notes, control.clock)
        password = await reset_password(*args, "ada", "shop")
        await control.signed_in("ada", password.reveal_text(), domain="shop")


def run(data: Path, *words: str) -> Any:
    return CliRunner().invoke(main, [*words, "--data", str(data)])


async def started(data: Path, preset: Sensitive | None = None) -> None:
    """What a server does at its first start, on this data."""
    async with bootstrap.opened(load_settings({}, data=data), SystemClock()) as house:
        await ensure_admin(house.store, Passwords(CHEAP), house.notes, house.clock, preset)


def test_the_commands_show_a_password_once_and_make_new_ones(tmp_path: Path) -> None:
    asyncio.run(started(tmp_path))
    shown = run(tmp_path, "admin", "one-time-password", "--json")
    told = json.loads(shown.stdout)
    assert told["username"] == "admin"
    assert len(told["password"]) == 29
    twice = run(tmp_path, "admin", "one-time-password")
    assert twice.exit_code == 1
    assert "reset-password" in twice.stderr
    reset = run(tmp_path, "admin", "reset-password")
    assert reset.exit_code == 0
    new = reset.stdout.split()[-1]
    assert len(new) == 29
    assert new != told["password"]
    unknown = run(tmp_path, "admin", "reset-password", "--user", "nobody")
    assert unknown.exit_code == 1
    assert "nobody" in unknown.stderr

    async def opens(password: str) -> bool:
        async with bootstrap.opened(load_settings({}, data=tmp_path), SystemClock()) as house:
            row = await house.store.read_one("SELECT password_hash, password_change_required FROM cckm_users")
            assert row is not None
            assert row[1] == 1
            return await Passwords(CHEAP).verify(row[0], Sensitive(password))

    assert asyncio.run(opens(new))
    assert not asyncio.run(opens(told["password"]))
