"""How fast Azure may be asked: 80 % of what it publishes, per vault and per subscription.

A vault lets 4,000 transactions and 300 created secrets in 10 s through; Resource Manager 25 reads per second for a
subscription, and 250 at once.
"""

from __future__ import annotations

from claviger.cckm.pace import Budget, Budgets, Limits, Slots, too_busy

__all__ = ["AzureBudgets", "Budget", "Limits", "Slots", "too_busy"]

VAULT_CALLS_PER_S = 320.0
VAULT_CREATES_PER_S = 24.0
ARM_CALLS_PER_S = 20.0


class AzureBudgets(Budgets):
    """The budgets of all vaults and subscriptions."""

    def of_vault(self, url: str) -> Budget:
        """That of a vault of the known clouds."""
        return self.of(url, VAULT_CALLS_PER_S, VAULT_CREATES_PER_S)

    def of_subscription(self, arm: str, subscription_id: str) -> Budget:
        """That of a subscription at Resource Manager; "" is what belongs to none."""
        return self.of(f"{arm}/{subscription_id.lower()}", ARM_CALLS_PER_S, ARM_CALLS_PER_S)
