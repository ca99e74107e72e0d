"""The endpoint of the search over the estate (docs/search.md)."""

from __future__ import annotations

from claviger.cckm.azure.secrets.listing.dates import DATES
from claviger.cckm.calls import Answer, Call, Parameter, Route, in_container
from claviger.cckm.estate.operations import AZURE, OCI, FoundPage, Searches
from claviger.cckm.estate.rules import LONGEST_QUERY
from claviger.cckm.listing import PAGING

TAG = "Search"
PATH = "/claviger/search"
_VIEWS = {AZURE: "secretview", OCI: "view"}
"""What lets a caller find what is in a vault."""
FILTERS = (
    Parameter(
        "q",
        "string",
        f"What to look for: words of names, tags and vaults, and field:word; up to {LONGEST_QUERY} characters.",
    ),
    Parameter("enabled", "boolean", "Whether the secret, or the key, is enabled in its cloud."),
    Parameter("never_rotated", "boolean", "Of secrets: whether no other version is known; see older_than_days."),
    *DATES,
)


class SearchRoutes:
    """The route of the search."""

    def __init__(self, searches: Searches) -> None:
        self._searches = searches

    def routes(self) -> list[Route]:
        """The one endpoint."""
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self._search,
                permission=in_container("secretview"),
                tag=TAG,
                summary="Search over all secrets and keys that the caller may see",
                description=(
                    "Secrets of Azure and keys of OCI (in vaults that the caller may `view`). "
                    "Words are looked for in names, tags and vaults; all of them have to match. `name:`, `tag:`, "
                    "`vault:`, `region:`, `cloud:`, `kind:`, `status:` (or `state:`), `algorithm:`, `mode:` and `is:` "
                    "say where to look; `created`, `updated`, "
                    "`expires`, `final` and `age` are compared with dates or lengths of time. A `-` before a word "
                    "means that it must not match, quotes keep words together, `*` stands for any characters. "
                    "Values are never looked at. The newest come first. Of words, matches are counted up to ten "
                    "thousand; `total_is_exact` says whether there are no more."
                ),
                query=(*PAGING[:2], *FILTERS),
                gives=FoundPage,
            )
        ]

    async def _search(self, call: Call) -> Answer:
        seen = {cloud: call.containers_with_any([view]) for cloud, view in _VIEWS.items()}
        return Answer(await self._searches.page(call.caller.domain_id, call.query, seen))
