"""Rules, dashboards and runbooks fit one another and the metrics of the code; promtool agrees."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # has no types of its own

from tests.monitoring import (
    DASHBOARDS,
    DEPLOY,
    Expression,
    all_metrics,
    metric,
    panels,
    rules,
    selectors,
)
from tools.install_packages import PROMETHEUS_PACKAGE, ensure_installed

ROOT = DEPLOY.parent
RUNBOOKS = ROOT / "docs/runbooks"
PROMETHEUS = DEPLOY / "prometheus"
ALERTS = [rule for rule in rules() if "alert" in rule]
#: The names of the series that the code tells.
SERIES = {name for each in all_metrics() for name in each.series()}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
#: Kinds of panels that come with Grafana, of those that are used.
PANEL_TYPES = {"heatmap", "row", "stat", "table", "timeseries"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("up == 0", ["up"]),
        ('sum by (a, b) (rate(x_total{q!~".+\\\\.dead", r="}"}[5m])) > 0', None),
        ("max(a:b:c) and on (queue) b / ignoring (x) group_left (y) c", ["a:b:c", "b", "c"]),
        ("histogram_quantile(0.9, sum by (le) (rate(h_bucket[1m]))) or vector(0)", ["h_bucket"]),
    ],
)
def test_selectors_of_expressions(text, found):
    """Functions, keywords, labels, strings and ranges are none."""
    assert selectors(text) == (found or ['x_total{q!~".+\\\\.dead", r="}"}'])


def test_rules_and_panels_name_metrics_that_are_told():
    """A metric of ours is in the code, a recorded one in the rules."""
    written = [*panels(), *(Expression(str(rule), rule["expr"]) for rule in rules())]
    known = SERIES | RECORDED

    unknown = {
        (where, metric(each))
        for where, text in written
        for each in selectors(text)
        if metric(each).startswith("taskyard_") or ":" in metric(each)
        if metric(each) not in known
    }

    assert unknown == set()


def test_rules_pass_their_own_tests():
    """Each alert fires where it should and nowhere else, by promtool."""
    ensure_installed([PROMETHEUS_PACKAGE])
    commands = [
        ["promtool", "test", "rules", "tests/alerts.yml"],
        ["promtool", "check", "config", "prometheus.yml"],
    ]
    for command in commands:
        done = subprocess.run(command, cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tried_both_ways():
    """There is a test that it fires and one that it is silent."""
    text = (PROMETHEUS / "tests/alerts.yml").read_text()
    tried = set(re.findall(r"name: (\w+) (fires|is silent)", text))

    names = {rule["alert"] for rule in ALERTS}

    assert {(name, way) for name in names for way in ("fires", "is silent")} == tried


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_a_person_needs(rule):
    """Severity, summary, description, and the page that says what to do."""
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page, anchor = rule["annotations"]["runbook_url"].split("#")
    assert page == f"docs/runbooks/{rule['alert']}.md"
    assert anchor == "what-to-do"


def test_every_alert_has_its_page_and_every_page_its_alert():
    """The list names them all, by their severity; each page says what to do."""
    pages = {path.stem: path for path in RUNBOOKS.glob("*.md") if path.stem != "README"}
    listed = re.findall(
        r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) ", (RUNBOOKS / "README.md").read_text(), re.M
    )

    severities = {rule["alert"]: rule["labels"]["severity"] for rule in ALERTS}
    assert severities.keys() == pages.keys()
    assert dict(listed) == severities
    for name, path in pages.items():
        assert "\n## What to do\n" in path.read_text(), name


def test_alertmanager_knows_its_receivers_and_our_alerts():
    """Each route leads to a receiver, and what inhibits what are alerts of ours."""
    config = yaml.safe_load((DEPLOY / "alertmanager/alertmanager.yml").read_text())
    routes = [config["route"], *config["route"]["routes"]]
    rules_text = json.dumps(config["inhibit_rules"])

    assert {each["receiver"] for each in routes} <= {each["name"] for each in config["receivers"]}
    named = set(re.findall(r"Taskyard\w+", rules_text))
    assert named
    assert named <= {rule["alert"] for rule in ALERTS}


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_loaded(path: Path):
    """Its ids are its own, its panels do not overlap, and each has the provisioned source."""
    dashboard = json.loads(path.read_text())
    shown = dashboard["panels"]

    assert dashboard["uid"] == f"taskyard-{path.stem}"
    assert len(shown) == len({panel["id"] for panel in shown})
    cells = [cell for panel in shown for cell in _cells(**panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert {t["datasource"]["uid"] for p in shown for t in p.get("targets", [])} == {"taskyard"}
    assert (
        "uid: taskyard" in (DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_read(path: Path):
    """Every number has a unit, several curves have names, and links lead to dashboards and variables."""
    dashboard = json.loads(path.read_text())
    places = {f"taskyard-{each.stem}" for each in DASHBOARDS}
    variables = {each["name"] for each in dashboard["templating"]["list"]}

    for panel in dashboard["panels"]:
        targets, title = panel.get("targets", []), panel["title"]
        names = [target["legendFormat"] for target in targets]
        if panel["type"] in ("timeseries", "stat"):
            assert panel["fieldConfig"]["defaults"]["unit"], title
        assert all(names) or len(names) == 1, title
        assert len(names) == len(set(names)), title
        for url in re.findall(r'"url": "([^"]+)"', json.dumps(panel)):
            to = re.match(r"/d/([\w-]+)\?|\$\{(\w+)\}/", url)
            assert to is not None, url
            assert to[1] in places or to[2] in variables, url


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_is_as_grafana_wants_it(path: Path):
    """Each panel is of a kind that Grafana has and says how to read it; queries and thresholds are whole."""
    for panel in json.loads(path.read_text())["panels"]:
        title = panel["title"]
        assert panel["type"] in PANEL_TYPES, title
        if panel["type"] == "row":
            continue
        assert {panel["datasource"]["uid"]} == {"taskyard"}, title
        names = [target["refId"] for target in panel["targets"]]
        assert len(names) == len(set(names)), title
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
        values = [step["value"] for step in steps]
        assert not values or values[0] is None, title
        assert values[1:] == sorted(values[1:]), title
        if panel["type"] == "timeseries":
            assert panel["options"]["legend"]["displayMode"] in ("list", "table", "hidden"), title
        if panel["type"] == "heatmap":
            assert {target["format"] for target in panel["targets"]} == {"heatmap"}, title


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_every_variable_is_used_and_every_one_used_is_there(path: Path):
    """And those that are queries ask the provisioned source for labels of metrics that are told."""
    dashboard = json.loads(path.read_text())
    text = json.dumps([dashboard["panels"], dashboard["links"]])
    used = {
        name
        for pair in re.findall(r"\$(?:\{(\w+)[}:]|(\w+))", text)
        for name in pair
        if name and not name.startswith("__")
    }

    assert used == {each["name"] for each in dashboard["templating"]["list"]}
    for each in dashboard["templating"]["list"]:
        if each["type"] == "query":
            assert each["datasource"]["uid"] == "taskyard"
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", each["query"]["query"])
            assert asked is not None
            assert {metric(one) for one in selectors(asked[1])} <= SERIES
            assert asked[2] == each["name"]


def _cells(x: int, y: int, w: int, h: int) -> list[tuple[int, int]]:
    assert x + w <= 24
    return [(column, line) for column in range(x, x + w) for line in range(y, y + h)]
