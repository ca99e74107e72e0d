"""What the server counts, shown as Prometheus text at /metrics.

Counting happens on the hot path and costs two dictionary or list additions: the counters are plain Python numbers, and
turn into Prometheus families only when somebody asks. Labels are a service's name, one of its operations and a class of
status (2xx); never a vault, a secret or a caller. Their number is bounded, whatever an application hands in.
"""

from __future__ import annotations

import resource
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the library is slow to import and needed only when somebody asks
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
MAX_OPERATIONS = 500
BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LABELS = ("service", "operation")


class OperationMeter:
    """The counters of one operation. Hold on to it where every fraction of a microsecond counts."""

    __slots__ = ("_buckets", "_classes", "_total_s")

    def __init__(self) -> None:
        self._classes = [0] * 6
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._total_s = 0.0

    def count(self, status: int) -> None:
        """One more answer with this status, its duration not measured."""
        self._classes[status // 100] += 1

    def measure(self, status: int, seconds: float) -> None:
        """One more answer with this status, that took `seconds`."""
        self._classes[status // 100] += 1
        self._buckets[bisect_left(BUCKETS_S, seconds)] += 1
        self._total_s += seconds

    def classes(self) -> Iterable[tuple[str, int]]:
        """Status class and count, of those that occurred."""
        return [(f"{digit}xx", count) for digit, count in enumerate(self._classes) if count]

    def histogram(self) -> tuple[list[tuple[str, float]], float]:
        """Cumulative buckets by upper bound, and the sum of all durations; empty where nothing was measured."""
        if not any(self._buckets):
            return [], 0.0
        bounds = [*map(str, BUCKETS_S), "+Inf"]
        running = 0
        shown: list[tuple[str, float]] = []
        for bound, count in zip(bounds, self._buckets, strict=True):
            running += count
            shown.append((bound, running))
        return shown, self._total_s


class Metrics:
    """All counters of one server. A collector for the Prometheus library."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, str], OperationMeter] = {}
        self._readings: list[tuple[str, str, bool, Callable[[], float]]] = []
        self._registry: CollectorRegistry | None = None

    def meter(self, service: str, operation: str) -> OperationMeter:
        """The counters of an operation; all operations beyond the first 500 share one."""
        found = self._meters.get((service, operation))
        if found is None:
            if len(self._meters) >= MAX_OPERATIONS:
                service, operation = "other", "other"
            found = self._meters.setdefault((service, operation), OperationMeter())
        return found

    def counter(self, service: str) -> Callable[[str, int], None]:
        """A function of operation and status that counts an answer of this service."""
        meters: dict[str, OperationMeter] = {}

        def count(operation: str, status: int) -> None:
            meter = meters.get(operation)
            if meter is None:
                meter = self.meter(service, operation)
                if len(meters) < MAX_OPERATIONS:
                    meters[operation] = meter
            meter.count(status)

        return count

    def show(self, name: str, told: str, read: Callable[[], float], *, counts: bool = False) -> None:
        """Adds a reading taken when somebody asks: a gauge, or a counter where it only grows. `name` without prefix."""
        self._readings.append((name, told, counts, read))

    def text(self) -> bytes:
        """Everything, in the Prometheus text format."""
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

        if self._registry is None:
            self._registry = CollectorRegistry(auto_describe=False)
            self._registry.register(self)
            ProcessCollector(registry=self._registry)
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """For the Prometheus library."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        answers = CounterMetricFamily("claviger_requests", "Answers given.", labels=(*_LABELS, "status"))
        times = HistogramMetricFamily("claviger_request_seconds", "Time to answer.", labels=_LABELS)
        for labels, meter in list(self._meters.items()):
            for status, count in meter.classes():
                answers.add_metric((*labels, status), count)
            buckets, total_s = meter.histogram()
            if buckets:
                times.add_metric(labels, buckets, total_s)
        yield answers
        yield times
        memory = GaugeMetricFamily("claviger_resident_memory_bytes", "Resident memory, or its peak.")
        memory.add_metric((), resident_bytes())
        yield memory
        for name, told, counts, read in self._readings:
            kind = CounterMetricFamily if counts else GaugeMetricFamily
            family = kind(f"claviger_{name}", told)
            family.add_metric((), read())
            yield family


def resident_bytes() -> int:
    """Memory of this process that is in RAM now; on systems without /proc the most it ever was."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
