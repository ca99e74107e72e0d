"""Switches for tests: a clock that can be moved, faults on request, throttling, delays. All off unless turned on."""
