"""A Prometheus of Debian's, with the configuration in deploy/, reading services on this machine."""

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # has no types of its own

from taskyard.local_servers.ports import LOOPBACK, choose_port
from taskyard.local_servers.probes import http_status
from taskyard.local_servers.process import Process
from tests.monitoring import DEPLOY


class Prometheus(Process):
    """Reads each target every second; the jobs are those of deploy/prometheus/prometheus.yml.

    Args:
        folder: Where configuration and data go.
        targets: The address (`host:port`) of each job.
    """

    def __init__(self, folder: Path, targets: Mapping[str, str]) -> None:
        self.port = choose_port()
        program = shutil.which("prometheus")
        assert program is not None
        (folder / "prometheus.yml").write_text(json.dumps(_config(targets)))  # JSON is YAML
        options = {
            "config.file": folder / "prometheus.yml",
            "storage.tsdb.path": folder / "data",
            "web.listen-address": f"{LOOPBACK}:{self.port}",
        }
        argv = [program, *(f"--{name}={value}" for name, value in options.items())]
        super().__init__("prometheus", argv, stack=folder, on_line=print)

    def is_ready(self) -> bool:
        """Return whether it answers queries."""
        return http_status(self.port, "/-/ready") == 200

    def query(self, text: str) -> list[tuple[dict[str, str], float]]:
        """Return labels and values of what an expression gives now."""
        answer = self._get("query", query=text)
        assert answer["resultType"] == "vector", text
        return [(row["metric"], float(row["value"][1])) for row in answer["result"]]

    def names(self) -> set[str]:
        """Return the names of all metrics that it knows."""
        return set(self._get("label/__name__/values"))

    def rules(self) -> list[dict[str, Any]]:
        """Return what it says of all rules."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **parameters: str) -> Any:
        url = f"http://{LOOPBACK}:{self.port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)["data"]


def _config(targets: Mapping[str, str]) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "prometheus" / each) for each in config["rule_files"]]
    del config["alerting"]
    assert {scrape["job_name"] for scrape in config["scrape_configs"]} == set(targets)
    for scrape in config["scrape_configs"]:
        del scrape["dns_sd_configs"]
        scrape["static_configs"] = [{"targets": [targets[scrape["job_name"]]]}]
    return config
