"""The filters of a list of secrets, read from the query (Azure contract §5.5).

Different filters are ANDed, values of one are ORed. What a whole facet has or has not (status, vault, flags) is told
apart from what only a row has (id, name, tags): totals of the former are known without looking at rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from claviger.cckm.azure.secrets.listing.dates import DATES, Dated, dates_of
from claviger.cckm.azure.vaults.rules import record_name
from claviger.cckm.calls import Parameter, Query
from claviger.cckm.errors import validation
from claviger.cckm.listing import pattern_of

LATEST = "-1"
_SECRET_ID = re.compile(r"https?://(?P<vault>[^./?#]+)[^/?#]*/secrets/(?P<name>[^/?#]+)(?:/(?P<version>[^/?#]+))?/?")


def _filter(name: str, description: str, kind: str = "string") -> Parameter:
    return Parameter(name, "boolean" if kind == "boolean" else "string", description, repeated=True)


FILTERS = (
    _filter("id", "Id of the record."),
    _filter("key_vault", "Vault: name of its record, its plain Azure name, or id of its record; `*` stands for any."),
    _filter("key_vault_id", "Id of the vault's record."),
    _filter("secret_name", "Name, in any case; `*` stands for any characters."),
    _filter("secret_id", "Azure's identifier, with or without a version."),
    _filter("region", "Region of the vault."),
    _filter("cloud_name", "Cloud of the vault."),
    _filter("status", "AVAILABLE, SOFT-DELETED or DELETED."),
    _filter("enabled", "Whether the secret is enabled in Azure.", "boolean"),
    _filter("version", "Azure's version; -1 for the latest of each name only."),
    _filter("backup", "Id of the backup."),
    _filter("deleted_in_azure", "Whether the secret is soft-deleted in Azure.", "boolean"),
    _filter("gone", "Whether synchronization no longer found the secret.", "boolean"),
    _filter("managed", "Whether Azure manages the secret for a certificate.", "boolean"),
    _filter("tags", "`name`, `name=value` or `name:value`."),
    _filter("key_material_origin", "cckm, native or unknown."),
    _filter("job_config_id", "Secrets have no rotation job: nothing matches."),
    _filter("rotation_job_enabled", "Secrets have no rotation job: true matches nothing.", "boolean"),
    _filter("never_rotated", "Whether no other version of the name is known; see older_than_days.", "boolean"),
    *DATES,
)

_FLAGS: Mapping[str, str] = {
    "enabled": "enabled",
    "deleted_in_azure": "soft_deleted",
    "gone": "gone",
    "managed": "managed",
    "never_rotated": "sole",
}


class Vault(msgspec.Struct, frozen=True):
    """What lists need to know of a vault of the domain."""

    num: int
    id: str
    azure_name: str
    subscription_id: str
    location: str
    cloud_name: str

    @property
    def name(self) -> str:
        """The name of its record."""
        return record_name(self.azure_name, self.subscription_id)


class SecretId(msgspec.Struct, frozen=True):
    """Azure's identifier of a secret, in parts and whole, in lower case."""

    azure_name: str
    name_key: str
    version: str
    text: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. None and empty say nothing about a fact; `flags` are by the names of facets."""

    nothing: bool
    statuses: Sequence[str]
    origins: Sequence[str]
    flags: Mapping[str, bool]
    latest: bool
    vaults: Mapping[str, Sequence[str]]
    ids: Sequence[str]
    backups: Sequence[str]
    versions: Sequence[str]
    or_latest: bool
    names: Sequence[str]
    patterns: Sequence[str]
    secret_ids: Sequence[SecretId]
    tags: Sequence[tuple[str, str | None]]
    dates: Sequence[Dated] = ()

    @property
    def has_keys(self) -> bool:
        """Whether something is asked for that few rows have."""
        exact = self.names and not self.patterns
        return bool(self.ids or self.backups or self.secret_ids or exact or (self.versions and not self.or_latest))

    @property
    def has_scans(self) -> bool:
        """Whether something is asked for that no count and no single index tells."""
        several_tags = len({name for name, _ in self.tags}) > 1
        return bool(self.patterns or self.or_latest or self.dates or several_tags)

    @property
    def tag_values(self) -> tuple[str, Sequence[str] | None] | None:
        """The one tag that is asked for, with its values, None for any; None where there is none, or several names."""
        if len({name for name, _ in self.tags}) != 1:
            return None
        values = [value for _, value in self.tags]
        return self.tags[0][0], None if None in values else sorted({value for value in values if value is not None})


def asked_of(query: Query, now: float) -> Asked:
    """The filters of a call at this time (epoch seconds). Raises Invalid("Validation")."""
    flags: dict[str, bool] = {}
    for name, column in _FLAGS.items():
        wanted = _booleans(query, name)
        if len(wanted) == 1:
            flags[column] = wanted.pop()
    versions = [word.lower() for word in query.all("version")]
    names = [word.lower() for word in query.all("secret_name")]
    if any(not word.strip("*") for word in names):
        names = []  # everything
    wanted_ids = query.all("secret_id")
    secret_ids = [found for word in wanted_ids if (found := _secret_id(word)) is not None]
    jobs = _booleans(query, "rotation_job_enabled")
    has_latest = LATEST in versions
    others = sorted({word for word in versions if word != LATEST})
    return Asked(
        nothing=bool(query.all("job_config_id")) or jobs == {True} or (bool(wanted_ids) and not secret_ids),
        statuses=sorted(set(query.all("status"))),
        origins=sorted(set(query.all("key_material_origin"))),
        flags=flags,
        latest=has_latest and not others,
        vaults={name: query.all(name) for name in _VAULT_TESTS if query.all(name)},
        ids=sorted({word.lower() for word in query.all("id")}),
        backups=sorted(set(query.all("backup"))),
        versions=others,
        or_latest=has_latest and bool(others),
        names=sorted({word for word in names if "*" not in word}),
        patterns=sorted({re.sub(r"\*+", "*", word) for word in names if "*" in word}),
        secret_ids=secret_ids,
        tags=[_tag(word) for word in query.all("tags")],
        dates=dates_of(query, now),
    )


def vaults_among(vaults: Iterable[Vault], asked: Asked, containers: frozenset[str] | None) -> list[Vault]:
    """The vaults that the filters ask for and the caller may see."""
    return [
        vault
        for vault in vaults
        if (containers is None or vault.id in containers)
        and all(any(_VAULT_TESTS[name](vault, word) for word in words) for name, words in asked.vaults.items())
    ]


def _is_called(vault: Vault, word: str) -> bool:
    if "*" in word:
        pattern = pattern_of(word)
        return any(pattern.fullmatch(text) is not None for text in (vault.name, vault.azure_name, vault.id))
    return word.lower() in (vault.name.lower(), vault.azure_name.lower(), vault.id)


_VAULT_TESTS: Mapping[str, Callable[[Vault, str], bool]] = {
    "key_vault": _is_called,
    "key_vault_id": lambda vault, word: vault.id == word.lower(),
    "region": lambda vault, word: vault.location.lower() == word.lower(),
    "cloud_name": lambda vault, word: vault.cloud_name == word,
}


def _booleans(query: Query, name: str) -> set[bool]:
    words = set(query.all(name))
    if not words <= {"true", "false"}:
        raise validation({name: "must be true or false"})
    return {word == "true" for word in words}


def _secret_id(word: str) -> SecretId | None:
    text = word.lower().rstrip("/")
    found = _SECRET_ID.fullmatch(text)
    return None if found is None else SecretId(found["vault"], found["name"], found["version"] or "", text)


def _tag(word: str) -> tuple[str, str | None]:
    name, mark, value = re.match(r"([^=:]*)([=:]?)(.*)", word, re.DOTALL).groups()  # type: ignore[union-attr]
    return name, value if mark else None
