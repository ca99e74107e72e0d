"""The endpoint of drift; it is our own."""

from __future__ import annotations

from claviger.cckm.calls import Answer, Call, ListOf, Parameter, Route, in_container
from claviger.cckm.drift.operations import Drift
from claviger.cckm.drift.rules import AZURE, CLOUDS, KINDS, OCI
from claviger.cckm.drift.wire import DriftShown
from claviger.cckm.listing import PAGING

PATH = "/claviger/drift"
_VIEWS = {AZURE: "secretview", OCI: "view"}
"""What lets a caller see the findings of a vault."""

_FILTERS = (
    Parameter("cloud", description="The cloud.", repeated=True, values=CLOUDS),
    Parameter("key_vault", description="The vault in Azure, by id or name.", repeated=True),
    Parameter("vault", description="The vault in OCI, by id or name.", repeated=True),
    Parameter("kind", description="What has happened.", repeated=True, values=KINDS),
    Parameter("secret_name", description="Name of the secret; `*` stands for any text.", repeated=True),
    Parameter("key_name", description="Name of the key; `*` stands for any text.", repeated=True),
)


class DriftRoutes:
    """Answers calls."""

    def __init__(self, drift: Drift) -> None:
        self._drift = drift

    def routes(self) -> list[Route]:
        """The one."""
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self._list,
                permission=in_container("secretview"),
                tag="Drift",
                summary="List what has changed in the cloud behind our back",
                description=(
                    "What synchronization has found changed, new or missing, until it is as it was again or somebody "
                    "changes the secret or key here. Of OCI's vaults those that the caller may `view`."
                ),
                gives=ListOf[DriftShown],
                query=(*PAGING, *_FILTERS),
            )
        ]

    async def _list(self, call: Call) -> Answer:
        seen = {cloud: call.containers_with_any((view,)) for cloud, view in _VIEWS.items()}
        return Answer(await self._drift.page(call.caller.domain_id, call.query, seen))
