"""The dashboard and the alert rules that are shipped: every query parses, and asks for what is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from django_resilient_queue.metrics import FAMILIES, Family
from django_resilient_queue.metrics.families import COUNTER, GAUGE, HISTOGRAM

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
RULES: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus-rules.yml").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [
    pytest.param(target, id=f"{panel['title']} {target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
ALERTS = [pytest.param(rule, id=rule["alert"]) for g in RULES["groups"] for rule in g["rules"]]
SERIES: Mapping[str, Family] = {
    name: family
    for family in FAMILIES.values()
    for name in (
        [f"{family.name}_{ending}" for ending in ("bucket", "count", "sum")]
        if family.kind == HISTOGRAM
        else [family.shown_name]
    )
}


def parsed(query: str) -> Any:
    """The query as Prometheus would get it from Grafana."""
    return promql_parser.parse(query.replace("$__rate_interval", "5m").replace("$queue", ".*"))


def labels_of(series: str) -> set[str]:
    return {*SERIES[series].labels, *(["le"] if series.endswith("_bucket") else [])}


def parts(query: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Every part of a query, with those that it stands in, the innermost last."""
    yield query, above
    for name in ("lhs", "rhs", "expr", "args", "vector_selector"):
        below = getattr(query, name, None)
        for each in below if isinstance(below, list) else [below]:
            if each is not None:
                yield from parts(each, (*above, query))


def selectors(query: Any) -> Iterator[tuple[Any, list[Any]]]:
    """Each series that is asked for, and what aggregates it, the innermost last."""
    for part, above in parts(query):
        if isinstance(part, promql_parser.VectorSelector):
            yield part, [a for a in above if isinstance(a, promql_parser.AggregateExpr)]


def kept_by(aggregate: Any) -> set[str]:
    return set(aggregate.modifier.labels) if aggregate.modifier else set()


def assert_sound(query: str) -> set[str]:
    """Check series, labels and aggregation of a query; returns the labels of its result."""
    result: set[str] | None = None
    for selector, aggregates in selectors(parsed(query)):
        assert selector.name in SERIES, selector.name
        chosen = {matcher.name for matcher in selector.matchers.matchers}
        assert chosen <= labels_of(selector.name)
        for aggregate in aggregates:
            assert kept_by(aggregate) <= labels_of(selector.name)
        if aggregates:
            assert_one_figure(selector, aggregates[-1])
            kept = kept_by(aggregates[0])
            result = kept if result is None else result & kept
    return result or set()


def assert_one_figure(selector: Any, innermost: Any) -> None:
    """All instances say the same: their figures are no more when added up, and series of different
    labels are no one figure."""
    assert str(innermost.op) == "max"
    single = {m.name for m in selector.matchers.matchers if str(m.op) == "MatchOp.Equal"}
    if SERIES[selector.name].kind != GAUGE:
        assert labels_of(selector.name) - single <= kept_by(innermost)


@pytest.mark.parametrize("target", TARGETS)
def test_a_panel_asks_for_metrics_and_labels_that_there_are(target: dict[str, Any]) -> None:
    kept = assert_sound(target["expr"])
    assert set(re.findall(r"{{(\w+)}}", target["legendFormat"])) <= kept


@pytest.mark.parametrize("rule", ALERTS)
def test_a_rule_asks_for_metrics_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    kept = assert_sound(rule["expr"])
    assert set(rule) <= {"alert", "expr", "for", "labels", "annotations"}
    assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert set(rule["annotations"]) == {"summary", "description"}
    told = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= kept


def test_a_rule_compares() -> None:
    """What is merely asked for fires always."""
    for rule in (rule for group in RULES["groups"] for rule in group["rules"]):
        query = parsed(rule["expr"])
        assert isinstance(query, promql_parser.BinaryExpr) or rule["expr"].startswith("absent(")


def test_every_metric_is_on_the_dashboard() -> None:
    queries = [target["expr"] for panel in PANELS for target in panel["targets"]]
    asked = {SERIES[s.name].name for query in queries for s, _ in selectors(parsed(query))}
    assert asked == set(FAMILIES)


def test_names_are_once() -> None:
    names = [rule["alert"] for group in RULES["groups"] for rule in group["rules"]]
    assert len(names) == len(set(names))
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_panels_do_not_cover_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_the_dashboard_asks_the_source_that_its_reader_chooses() -> None:
    sources = {panel["datasource"]["uid"] for panel in PANELS}
    assert sources == {"${datasource}"}
    names = [variable["name"] for variable in DASHBOARD["templating"]["list"]]
    assert names == ["datasource", "queue"]


@pytest.mark.parametrize(
    "query",
    [
        "max(drq_unknown)",
        'max(drq_up{queue="a"})',
        "max by (queue) (drq_up)",
        "sum by (store) (drq_up)",
        "max by (queue) (rate(drq_jobs_enqueued_total[5m]))",
        "max by (queue) (rate(drq_jobs_enqueued[5m]))",
    ],
)
def test_a_query_that_asks_for_something_else_is_found(query: str) -> None:
    with pytest.raises(AssertionError):
        assert_sound(query)


def test_kinds_are_prometheus_own() -> None:
    assert {family.kind for family in FAMILIES.values()} == {COUNTER, GAUGE, HISTOGRAM}
