"""The metrics of the code; the rules and dashboards in deploy/, and the selectors in their expressions."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]  # has no types of its own
from prometheus_client.metrics import MetricWrapperBase

from services.api.http import request_metrics as api_metrics
from taskyard.telemetry import metrics

DEPLOY = Path(__file__).parents[1] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))
RULES = sorted((DEPLOY / "prometheus/rules").glob("*.yml"))

#: What Grafana puts in for its variables, with everything chosen.
VARIABLES = {"$__rate_interval": "1m", "$task": ".*", "$queue": ".*"}

_STRING = r'"(?:[^"\\]|\\.)*"'
_SELECTOR = re.compile(
    rf"(?P<skip>\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|{_STRING}|\[[^\]]*\])"
    rf"|(?P<selector>\b[a-zA-Z_:][\w:]*(?:\s*\{{(?:[^}}\"]|{_STRING})*\}})?)(?P<call>\s*\()?"
)
_WORDS = frozenset({"and", "or", "unless", "bool", "offset"})
_AGGREGATIONS = frozenset({"sum", "max", "min", "count", "avg"})


class Told(NamedTuple):
    """A metric of the code, with the name and the type that Prometheus is told."""

    name: str
    type: str
    metric: MetricWrapperBase

    def series(self) -> set[str]:
        """Return the names of its series."""
        if self.type == "histogram":
            return {f"{self.name}_{each}" for each in ("bucket", "sum", "count")}
        return {self.name}


class Expression(NamedTuple):
    """One expression, and where it is: `overview: Slots in use`."""

    where: str
    text: str


def all_metrics() -> list[Told]:
    """Return all metrics of the code."""
    found = []
    for module in (metrics, api_metrics):
        for metric in vars(module).values():
            if isinstance(metric, MetricWrapperBase):
                (family,) = metric.describe()
                end = "_total" if family.type == "counter" else ""
                found.append(Told(family.name + end, family.type, metric))
    return found


def panels() -> list[Expression]:
    """Return the expressions of all panels, with the variables filled in."""
    return [
        Expression(f"{path.stem}: {panel['title']}", filled(target["expr"]))
        for path in DASHBOARDS
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", [])
    ]


def rules() -> list[dict[str, Any]]:
    """Return all rules, as they are in the files."""
    loaded = [yaml.safe_load(path.read_text()) for path in RULES]
    return [rule for file in loaded for group in file["groups"] for rule in group["rules"]]


def filled(text: str) -> str:
    """Return an expression with Grafana's variables filled in."""
    for name, value in VARIABLES.items():
        text = text.replace(name, value)
    assert "$" not in text, text
    return text


def selectors(text: str) -> list[str]:
    """Return the selectors of series in an expression, such as `up{job="x"}`."""
    return [
        found["selector"]
        for found in _SELECTOR.finditer(text)
        if found["selector"]
        and not found["call"]
        and found["selector"] not in _WORDS | _AGGREGATIONS
    ]


def metric(selector: str) -> str:
    """Return the name of the metric in a selector."""
    return selector.partition("{")[0].strip()
