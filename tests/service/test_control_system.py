"""What the product has beside its clouds (CCKM contract §10, §11): counted, or honestly empty."""

from __future__ import annotations

from claviger.cckm.azure.subscriptions import records as subscriptions
from claviger.cckm.azure.subscriptions.records import SubscriptionDetails, SubscriptionRow
from claviger.cckm.calls import ROOT_DOMAIN
from claviger.cckm.oci.tenancies import records as tenancies
from claviger.cckm.oci.tenancies.records import TenancyRow
from claviger.store.contract import Tx
from tests.control import START, all_other_routes, open_control

SETTINGS = ("azure_key_expiry_notification", "aws_key_expiry_notification", "backups")
EMPTY = {"skip": 0, "limit": 10, "total": 0, "resources": []}


async def test_clouds_properties_settings_and_alarms(database_url: str) -> None:
    async with open_control(database_url, more=all_other_routes) as control:
        admin = await control.signed_in()
        there = (await admin.accept("POST", "/domains", {"name": "there"}))["id"]

        def manage(tx: Tx) -> None:
            for number, domain in enumerate((ROOT_DOMAIN, ROOT_DOMAIN, there)):
                ident = f"s-{number}"
                row = SubscriptionRow(ident, domain, ident, "", SubscriptionDetails(), START, START)
                subscriptions.note(tx, row)
            tenancies.note(tx, TenancyRow("t", ROOT_DOMAIN, "ocid1.tenancy", "acme", "", "", START, START))

        await control.store.write(manage)
        assert await admin.accept("GET", "/cckm/cloud-units") == {"total": 3, "azure": 2, "oci": 1}
        told = await admin.accept("GET", "/configs/properties/ENABLE_RECORDS_DB_STORE/")
        assert (told["name"], told["value"]) == ("ENABLE_RECORDS_DB_STORE", "true")
        await admin.refusal("GET", "/configs/properties/NOTHING", expect=404)
        for name in SETTINGS:
            assert await admin.accept("GET", f"/cckm/settings/{name}") == EMPTY
            told = await admin.refusal("PATCH", f"/cckm/settings/{name}", {"enabled": True}, expect=501)
            assert "nothing was changed" in told["message"]
        assert await admin.accept("GET", "/system/alarms") == EMPTY
        await admin.refusal("GET", "/system/alarms/1", expect=404)
        bob = await control.user(admin)
        for path in ("/cckm/cloud-units", "/system/alarms", f"/cckm/settings/{SETTINGS[0]}"):
            await bob.refusal("GET", path, expect=403)


async def test_records_are_sorted_by_what_they_all_have(database_url: str) -> None:
    async with open_control(database_url, more=all_other_routes) as control:
        admin = await control.signed_in()
        for _ in range(2):
            control.clock.advance(1)
            await control.user(admin)
            await admin.accept("POST", "/auth/clients", {})
            await admin.accept("POST", "/auth/rotate-auth-key")
        for path in (
            "/auth/tokens",
            "/auth/clients",
            "/auth/auth-key",
            "/auth/self/domains",
            "/usermgmt/users",
            "/usermgmt/groups",
            "/domains",
        ):
            for name in ("createdAt", "updatedAt", "id"):
                found = (await admin.accept("GET", path, sort=name, limit=-1))["resources"]
                shown = [str(each.get(name)).lower() for each in found]
                assert shown == sorted(shown), (path, name)
        for name in ("createdAt", "updatedAt", "id", "operation"):
            await admin.accept("GET", "/scheduler/jobs", sort=name)
