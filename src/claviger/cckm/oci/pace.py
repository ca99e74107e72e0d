"""How fast OCI may be asked: 10 calls a second and tenancy for each of four classes (OCI contract §14.4)."""

from __future__ import annotations

from typing import Literal

from claviger.cckm.pace import Budget, Budgets

CALLS_PER_S = 9.0  # of the 10 that OCI lets through

Kind = Literal["provisioning reads", "provisioning writes", "management reads", "management writes", "others"]


def budget_of(budgets: Budgets, domain: str, tenancy_ocid: str, kind: Kind) -> Budget:
    """The turns for calls of a kind in a tenancy of a realm, whichever connection makes them."""
    return budgets.of(f"{domain}/{tenancy_ocid}/{kind}", CALLS_PER_S, CALLS_PER_S)
