"""`python -m bench.oci_fetching PARAMETERS`: fetches keys with the bare official SDK in threads; the yardstick for
synchronisation of OCI.

PARAMETERS is a file of JSON: who signs, the authority, the tenancy's compartments, the addresses of vaults, and how
many threads. For each vault its keys are listed in every compartment, and each key and its versions are fetched: the
objects that the product needs. It prints JSON: calls, the seconds that they took, and the processor's.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from oci.key_management import KmsManagementClient

from claviger.cckm.oci.transport import set_up
from claviger.outgoing.trust import trust

PAGE = 100
MOST_BYTES = 16 * 1024 * 1024


class Fetcher:
    """Fetches, and counts calls. Each thread has clients of its own."""

    def __init__(self, told: Any) -> None:
        self.calls = 0
        self._told = told
        self._trust = trust(told["authority"])
        self._lock = threading.Lock()
        self._own = threading.local()

    def _client(self, endpoint: str) -> Any:
        known: dict[str, Any] = self._own.__dict__.setdefault("clients", {})
        if endpoint not in known:
            made = known[endpoint] = KmsManagementClient(dict(self._told["account"]), endpoint)
            # Nothing is set about the SDK but where *.localhost lies, which few machines know, and whom to trust.
            set_up(made.base_client.session, self._trust, None, MOST_BYTES)
        return known[endpoint]

    def _pages(self, call: Callable[..., Any], ident: str) -> list[Any]:
        found: list[Any] = []
        more: dict[str, Any] = {}
        while True:
            told = call(ident, limit=PAGE, **more)
            with self._lock:
                self.calls += 1
            found += told.data
            if not told.has_next_page:
                return found
            more = {"page": told.next_page}

    def listed(self, endpoint: str, compartment: str) -> list[str]:
        """The OCIDs of the keys of a compartment."""
        return [each.id for each in self._pages(self._client(endpoint).list_keys, compartment)]

    def key(self, endpoint: str, ocid: str) -> None:
        """One key with its versions."""
        client = self._client(endpoint)
        client.get_key(ocid)
        with self._lock:
            self.calls += 1
        self._pages(client.list_key_versions, ocid)


def main(told: Any) -> None:
    """Fetches and prints."""
    fetcher = Fetcher(told)
    began, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(told["threads"]) as pool:
        lists = [
            (endpoint, pool.submit(fetcher.listed, endpoint, compartment))
            for endpoint in told["vaults"]
            for compartment in told["compartments"]
        ]
        keys = [pool.submit(fetcher.key, endpoint, ocid) for endpoint, found in lists for ocid in found.result()]
        for each in keys:
            each.result()
    taken = {"seconds": time.perf_counter() - began, "processor_s": time.process_time() - used}
    print(json.dumps({"calls": fetcher.calls, "keys": len(keys), **taken}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
