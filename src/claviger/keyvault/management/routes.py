"""The operations of the management API: what each reads of its call, and what it answers.

Reading goes by the estate that the call came with (`calls.py`); changes go by `operations.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from claviger.core.clock import Clock
from claviger.core.errors import Invalid, NotFound
from claviger.core.paging import decode_mark, encode_mark
from claviger.keyvault.groups import operations as groups
from claviger.keyvault.groups.records import Group
from claviger.keyvault.management import errors, rules, shown, wire
from claviger.keyvault.management.calls import (
    Answer,
    Call,
    accepted,
    by_caller,
    group_of,
    is_ours,
    known_subscriptions,
    link,
    listed,
    live_vaults,
    may_delete,
    page,
    passes,
    path_of,
    require_sight,
    seen_vaults,
    sees,
    vault_of,
)
from claviger.keyvault.management.operations import Changed, Management
from claviger.keyvault.management.properties import tags_of
from claviger.keyvault.vaults.records import Vault
from claviger.keyvault.vaults.rules import (
    TRANSITIONS,
    Operation,
    State,
    check_location,
    check_vault_name,
    group_scope,
    state_of,
)
from claviger.store.contract import Store

Handler = Callable[[Call], Awaitable[Answer]]


class ManagementRoutes:
    """Answers calls. Needs the store for resource groups only."""

    def __init__(self, management: Management, store: Store, clock: Clock) -> None:
        self._management = management
        self._store = store
        self._clock = clock

    async def answer(self, call: Call) -> Answer:
        """Runs the operation of a call that has been let in. Raises what the operation raises."""
        handler: Handler = getattr(self, call.found.route.name)
        return await handler(call)

    # Subscriptions, tenants, providers.

    async def list_subscriptions(self, call: Call) -> Answer:
        """The subscriptions in which the caller has any role."""
        seen = [each for each in sorted(known_subscriptions(call.estate)) if sees(call, f"/subscriptions/{each}")]
        return listed([shown.subscription(each, call.caller.tid) for each in seen])

    async def get_subscription(self, call: Call) -> Answer:
        """One subscription."""
        require_sight(call, "Microsoft.Resources/subscriptions/read")
        return Answer(200, shown.subscription(call.given("subscription"), call.caller.tid))

    async def list_tenants(self, call: Call) -> Answer:
        """The caller's own tenant."""
        tenant = call.estate.tenant(call.caller.tid)
        return listed([shown.tenant(tenant)] if tenant else [])

    async def list_locations(self, call: Call) -> Answer:
        """The usual locations, and those in use."""
        require_sight(call, "Microsoft.Resources/subscriptions/locations/read")
        subscription = call.given("subscription")
        used = {group.location for group in call.estate.groups(subscription)}
        used |= {vault.location for vault in call.estate.vaults() if vault.subscription_id == subscription}
        names = [*rules.LOCATIONS, *sorted(used.difference(rules.LOCATIONS))]
        return listed([shown.location(subscription, name) for name in names])

    async def list_providers(self, call: Call) -> Answer:
        """The two resource providers that there are."""
        require_sight(call, "Microsoft.Resources/subscriptions/providers/read")
        namespaces = (rules.KEY_VAULT, rules.RESOURCES)
        return listed([shown.provider(call.given("subscription"), namespace) for namespace in namespaces])

    async def get_provider(self, call: Call) -> Answer:
        """One of them; registering it changes nothing."""
        require_sight(call, "Microsoft.Resources/subscriptions/providers/read")
        return Answer(200, shown.provider(call.given("subscription"), rules.check_namespace(call.given("namespace"))))

    # The little of Graph by which `az` finds out whom it is signed in as.

    async def get_me(self, call: Call) -> Answer:
        """There are no people here."""
        raise Invalid("NotAPerson")

    async def list_principals(self, call: Call) -> Answer:
        """The caller itself, where the filter names it; nobody else is shown."""
        caller = call.caller
        if f"'{caller.appid}'" not in call.query.get("$filter", "").lower():
            return listed([])
        return listed([shown.principal(caller.oid, caller.appid)])

    # Resource groups.

    async def list_groups(self, call: Call) -> Answer:
        """The groups in which the caller has any role."""
        require_sight(call, "Microsoft.Resources/subscriptions/resourceGroups/read")
        seen = [
            group
            for group in call.estate.groups(call.given("subscription"))
            if sees(call, group_scope(group.subscription_id, group.name))
        ]
        return page(call, [(group.name.lower(), shown.group(group)) for group in seen])

    async def get_group(self, call: Call) -> Answer:
        """One group."""
        return Answer(200, shown.group(group_of(call)))

    async def check_group(self, call: Call) -> Answer:
        """Whether there is such a group."""
        group_of(call)
        return Answer(204)

    async def put_group(self, call: Call) -> Answer:
        """Makes a group, or gives it tags."""
        asked = wire.decode_group(call.body)
        if not asked.location:
            raise Invalid("LocationMissing")
        draft = Group(call.given("subscription"), call.given("group"), asked.location, tags_of(asked.tags), 0)
        group, created = await groups.put_group(self._store, self._clock, draft)
        return Answer(201 if created else 200, shown.group(group))

    async def patch_group(self, call: Call) -> Answer:
        """Gives a group other tags."""
        asked, group = wire.decode_group(call.body), group_of(call)
        if asked.tags is not None:
            group = await groups.tag_group(self._store, group.subscription_id, group.name, tags_of(asked.tags))
        return Answer(200, shown.group(group))

    async def delete_group(self, call: Call) -> Answer:
        """Removes a group and deletes its vaults, for which the caller needs the right as well."""
        group = group_of(call)
        for vault in live_vaults(call):
            if vault.resource_group.lower() == group.name.lower() and not may_delete(call, vault):
                raise call.refused("Microsoft.KeyVault/vaults/delete", vault.path)
        await groups.remove_group(self._store, self._clock, group.subscription_id, group.name)
        return Answer(200)

    # Listings of vaults.

    async def list_resources(self, call: Call) -> Answer:
        """The vaults that a `$filter` leaves, as resources."""
        kept = rules.read_filter(call.query.get("$filter"))
        return page(
            call, [(vault.name.lower(), shown.resource(vault)) for vault in seen_vaults(call) if passes(vault, kept)]
        )

    async def list_vaults(self, call: Call) -> Answer:
        """The vaults of a subscription, or of a group."""
        found = [(vault.name.lower(), self._shown(call, vault)) for vault in seen_vaults(call)]
        return page(call, found)

    async def list_nothing(self, call: Call) -> Answer:
        """Managed HSMs: there are none."""
        require_sight(call, "Microsoft.KeyVault/managedHSMs/read")
        return listed([])

    async def get_hsm(self, call: Call) -> Answer:
        """A managed HSM: there is none."""
        raise NotFound("HsmNotFound", hsm=call.given("hsm")[:100], group=group_of(call).name)

    async def list_links(self, call: Call) -> Answer:
        """Private endpoints of a vault: there are none."""
        vault_of(call)
        return listed([])

    async def list_deleted(self, call: Call) -> Answer:
        """The deleted vaults of a subscription that can still be recovered."""
        subscription = call.given("subscription")
        found = [
            (vault.name.lower(), shown.deleted_vault(vault))
            for vault in self._deleted(call)
            if vault.subscription_id == subscription
        ]
        return page(call, found)

    # One vault.

    async def get_vault(self, call: Call) -> Answer:
        """A live vault."""
        return Answer(200, self._shown(call, vault_of(call)))

    async def put_vault(self, call: Call) -> Answer:
        """Creates, replaces or recovers a vault."""
        done = await self._management.put(
            path_of(call), wire.decode_vault(call.body), by_caller(call), call.api_version
        )
        return self._changed(call, done)

    async def patch_vault(self, call: Call) -> Answer:
        """Changes some properties of a vault."""
        return self._changed(
            call, await self._management.patch(path_of(call), wire.decode_vault(call.body), by_caller(call))
        )

    async def delete_vault(self, call: Call) -> Answer:
        """Deletes a vault; 204 where there is none."""
        try:
            await self._management.delete(path_of(call), call.caller.tid)
        except NotFound:
            return Answer(204)
        return Answer(200)

    async def change_policies(self, call: Call) -> Answer:
        """Adds, replaces or removes access policies."""
        how = call.given("kind").lower()
        if how not in ("add", "replace", "remove"):
            raise NotFound("TypeUnknown", namespace=rules.KEY_VAULT, type=f"vaults/accessPolicies/{how[:40]}")
        asked = wire.decode_change(call.body).properties.access_policies
        done = await self._management.change_policies(path_of(call), how, asked, call.caller.tid)
        return Answer(200, shown.changed_policies(done.vault, done.policies))

    async def check_name(self, call: Call) -> Answer:
        """Whether a vault may be made under a name."""
        asked = wire.decode_name(call.body)
        if asked.type.lower() != rules.VAULT_TYPE.lower():
            raise Invalid("Property", property="type")
        try:
            check_vault_name(asked.name)
        except Invalid as refusal:
            told = errors.message_of(refusal)
            return Answer(200, wire.NameOut(name_available=False, reason="AccountNameInvalid", message=told))
        taken = call.estate.vault(asked.name)
        if taken is None or self._state(taken) is State.ABSENT:
            return Answer(200, wire.NameOut(name_available=True))
        ours = taken.subscription_id == call.given("subscription") and self._state(taken) is State.DELETED
        told = errors.NAME_DELETED if ours else errors.NAME_TAKEN.format(vault=taken.name)
        return Answer(200, wire.NameOut(name_available=False, reason="AlreadyExists", message=told))

    # Deleted vaults.

    async def get_deleted(self, call: Call) -> Answer:
        """A deleted vault that can still be recovered."""
        name = call.given("vault")
        where = (call.given("subscription"), check_location(call.given("location")))
        found = call.estate.vault(name)
        here = found is not None and (found.subscription_id, found.location) == where and is_ours(call, found)
        TRANSITIONS.decide(
            Operation.GET_DELETED, self._state(found) if found and here else State.ABSENT, vault=name[:100]
        )
        if found is None:  # the table has no way here for an absent vault
            raise NotFound("DeletedVaultNotFound", vault=name[:100])
        return Answer(200, shown.deleted_vault(found))

    async def purge(self, call: Call) -> Answer:
        """Purges a deleted vault. 202 with a place to ask again, where there is too much in it to be gone at once."""
        location = check_location(call.given("location"))
        subscription = call.given("subscription")
        vault, is_gone = await self._management.purge(call.given("vault"), subscription, location, call.caller.tid)
        if is_gone:
            return Answer(200)
        at = f"{call.place.base_url}/subscriptions/{subscription}/providers/{rules.KEY_VAULT}/locations/{location}"
        mark = encode_mark(str(vault.id))
        return accepted(link(f"{at}/operationResults/{mark}", {"api-version": call.api_version}))

    async def operation_result(self, call: Call) -> Answer:
        """Whether a purge is through: 202 and the same place again, or 200."""
        vault_id = decode_mark(call.given("operation"))
        if not (vault_id.isascii() and vault_id.isdigit() and len(vault_id) <= 15):
            raise Invalid("PageMark")
        if await self._management.is_erased(int(vault_id)):
            return Answer(200)
        return accepted(link(call.place.base_url + call.path, {"api-version": call.api_version}))

    def _shown(self, call: Call, vault: Vault) -> wire.VaultOut:
        return shown.vault(vault, call.estate.policies(vault), call.place)

    def _changed(self, call: Call, done: Changed) -> Answer:
        return Answer(201 if done.created else 200, shown.vault(done.vault, done.policies, call.place))

    def _state(self, vault: Vault) -> State:
        return state_of(vault.deleted_at, vault.purge_at, self._clock.now())

    def _deleted(self, call: Call) -> Iterable[Vault]:
        vaults = (vault for vault in call.estate.vaults() if is_ours(call, vault))
        return (vault for vault in vaults if self._state(vault) is State.DELETED)
