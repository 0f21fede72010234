"""The dashboard and the alert rules name figures that there are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ROOT, Service

DEPLOY = ROOT / "deploy"
LABELS = {"by", "check", "channel", "destination", "instance", "job", "result", "route", "status",
          "stored_process", "verdict", "le"}  # fmt: skip


def panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = board["panels"]
    return found


def rules() -> list[dict[str, Any]]:
    text = (DEPLOY / "prometheus-alerts.yml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def expressions() -> Iterator[str]:
    for panel in panels():
        for target in panel["targets"]:
            yield target["expr"]
    for rule in rules():
        yield rule["expr"]


def names(service: Service) -> set[str]:
    """Every name that a series of the service may have."""
    found = set()
    text = requests.get(f"{service.url}/metrics", timeout=30).text
    for family in text_string_to_metric_families(text):
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
        found |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return found


def test_every_figure_that_is_named_is_there(embedded_service: Service) -> None:
    named = {name for text in expressions() for name in re.findall(r"\bconnector_proxy_\w+", text)}
    assert len(named) > 15
    assert named <= names(embedded_service)


def test_every_figure_is_explained(embedded_service: Service) -> None:
    explained = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    own = {name for name in names(embedded_service) if name.startswith("connector_proxy_")}
    for name in own:
        assert f"`{re.sub('_(bucket|count|sum)$', '', name)}`" in explained, name


def test_only_labels_that_there_are_select() -> None:
    for text in expressions():
        for selection in re.findall(r"\{([^}]*)\}", text):
            assert set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selection)) <= LABELS, text


def test_each_alert_says_what_happened_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("warning", "critical"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "advice"}, rule["alert"]


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_panels_lie_beside_each_other(panel: dict[str, Any]) -> None:
    place = panel["gridPos"]
    assert place["x"] + place["w"] <= 24
    for other in panels():
        there = other["gridPos"]
        apart = (
            place["x"] + place["w"] <= there["x"]
            or there["x"] + there["w"] <= place["x"]
            or place["y"] + place["h"] <= there["y"]
            or there["y"] + there["h"] <= place["y"]
        )
        assert other["id"] == panel["id"] or apart, other["title"]
