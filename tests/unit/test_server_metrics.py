"""The counters, and what they look like to Prometheus."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from claviger.server.metrics import MAX_OPERATIONS, Metrics, resident_bytes


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def labelled(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """A key of `samples`."""
    return name, frozenset(labels.items())


def test_answers_are_counted_by_service_operation_and_class_of_status() -> None:
    metrics = Metrics()
    count = metrics.counter("keyvault")
    for status in (200, 204, 404):
        count("GetSecret", status)
    metrics.meter("keyvault", "GetSecret").count(200)
    found = samples(metrics)
    labels = {"service": "keyvault", "operation": "GetSecret"}
    assert found[labelled("claviger_requests_total", **labels, status="2xx")] == 3
    assert found[labelled("claviger_requests_total", **labels, status="4xx")] == 1
    assert labelled("claviger_requests_total", **labels, status="5xx") not in found


def test_durations_fall_into_cumulative_buckets() -> None:
    metrics = Metrics()
    meter = metrics.meter("keyvault", "SetSecret")
    for seconds in (0.0001, 0.0002, 0.3, 99.0):
        meter.measure(200, seconds)
    found = samples(metrics)
    labels = {"service": "keyvault", "operation": "SetSecret"}
    buckets = {
        bound: found[labelled("claviger_request_seconds_bucket", **labels, le=bound)]
        for bound in ("0.0001", "0.00025", "0.25", "0.5", "10.0", "+Inf")
    }
    assert buckets == {"0.0001": 1, "0.00025": 2, "0.25": 2, "0.5": 3, "10.0": 3, "+Inf": 4}
    assert found[labelled("claviger_request_seconds_count", **labels)] == 4
    assert found[labelled("claviger_request_seconds_sum", **labels)] == pytest.approx(99.3003)


def test_readings_are_taken_when_asked() -> None:
    metrics = Metrics()
    value = 1.0
    metrics.show("writer_queue", "Changes waiting.", lambda: value)
    metrics.show("commits", "Commits.", lambda: value, counts=True)
    value = 7.0
    found = samples(metrics)
    assert found[labelled("claviger_writer_queue")] == 7
    assert found[labelled("claviger_commits_total")] == 7


def test_the_process_is_shown() -> None:
    found = samples(Metrics())
    assert 1e6 < found[labelled("claviger_resident_memory_bytes")] < 1e10
    assert resident_bytes() > 1e6


def test_the_number_of_labels_is_bounded() -> None:
    metrics = Metrics()
    count = metrics.counter("keyvault")
    for number in range(2 * MAX_OPERATIONS):
        count(f"operation {number}", 200)
    found = samples(metrics)
    total = [value for (name, _), value in found.items() if name == "claviger_requests_total"]
    assert len(total) <= MAX_OPERATIONS + 1
    assert sum(total) == 2 * MAX_OPERATIONS
    assert (
        found[labelled("claviger_requests_total", service="other", operation="other", status="2xx")] >= MAX_OPERATIONS
    )


def test_strange_statuses_do_no_harm() -> None:
    meter = Metrics().meter("a", "b")
    for status in (100, 599):
        meter.count(status)
    assert dict(meter.classes()) == {"1xx": 1, "5xx": 1}
