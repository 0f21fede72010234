"""What monitoring reads of a running service."""

from __future__ import annotations

from typing import Any

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Service

Figures = dict[str, dict[tuple[tuple[str, str], ...], float]]


def read(text: str) -> Figures:
    """Samples by name and labels, as Prometheus's own parser reads them. Each family has a type
    and a help text, and no series stands there twice."""
    found: Figures = {}
    for family in text_string_to_metric_families(text):
        assert family.type != "unknown", family.name
        assert family.documentation, family.name
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in series, f"{sample.name} twice with {labels}"
            series[labels] = sample.value
    return found


def figures(service: Service) -> Figures:
    answer = requests.get(f"{service.url}/metrics", timeout=30)
    assert answer.status_code == 200, answer.text
    return read(answer.text)


def value(found: Figures, name: str, **labels: str) -> float:
    """One sample; 0 where there is none."""
    return found.get(f"connector_proxy_{name}", {}).get(tuple(sorted(labels.items())), 0.0)


def health(service: Service) -> dict[str, dict[str, Any]]:
    """The checks by their names."""
    answer = requests.get(f"{service.url}/health", timeout=30)
    found = answer.json()
    bad = any(one["condition"] == "fail" for one in found["checks"])
    assert answer.status_code == (503 if bad else 200)
    return {one["name"]: one for one in found["checks"]}
