"""What a trial has found: kinds with details. Reports of trials derive from it."""

from __future__ import annotations

from dataclasses import dataclass, field

Finding = tuple[str, str]


@dataclass(kw_only=True)
class Findings:
    """All findings of a trial, in the order in which they came."""

    findings: list[Finding] = field(default_factory=list)

    def count(self, kind: str) -> int:
        """How many findings of a kind."""
        return sum(1 for found, _ in self.findings if found == kind)

    @property
    def found(self) -> int:
        """All that should not be."""
        return len(self.findings)
