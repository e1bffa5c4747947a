"""The rules and dashboards in deploy/: their expressions, and the selectors and metrics in these."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml  # type: ignore[import-untyped]  # has no types of its own

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


class Expression(NamedTuple):
    """One expression, and where it is: `overview: Slots in use`."""

    where: str
    text: str


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
