"""Helps the test machine find `*.localhost`: our own tests use what `claviger.testing` gives to everybody's."""

from __future__ import annotations

from claviger.testing.names import knowing_localhost, known, resolves, settings_for_programs

__all__ = ["knowing_localhost", "known", "resolves", "settings_for_programs"]
