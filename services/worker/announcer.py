"""What a worker's first process logs for all its children: each thing once, however many of them say it."""

import logging
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from services.worker.attempts.end_log import FAILURES_PER_S
from services.worker.child_handle import ChildHandle
from taskyard import __version__
from taskyard.config import Settings
from taskyard.runtime.broker_hosts import place, urls

logger = logging.getLogger(__name__)


class Announcer:
    """Logs what a worker is made of and serves, and what keeps its children from it.

    Args:
        settings: The worker's settings.
        handles: Its children.
    """

    def __init__(self, settings: Settings, handles: Sequence[ChildHandle]) -> None:
        self._settings = settings
        self._handles = handles
        self._task_facts: dict[str, Any] = {}
        #: Why children cannot start, as it was told last.
        self._fault = ""
        self._silent: set[str] = set()
        self.has_served = False

    def begin(self) -> None:
        """Say what is started, and which servers it uses."""
        settings = self._settings
        facts = {
            "version": __version__,
            "processes": settings.worker_processes,
            "slots": settings.worker_processes * settings.worker_threads,
            "task_modules": list(settings.task_modules),
            "rabbitmq": ", ".join(place(url) for url in urls(settings.broker_url)),
            "store": _shown(settings.result_backend),
        }
        logger.info("worker starts", extra=facts)

    def heard(self, sender: ChildHandle, *, is_first_beat: bool) -> None:
        """Say what is new since a child was heard of."""
        if is_first_beat and self._fault and not sender.fault:
            logger.info("children can start again")
            self._fault = ""
        if sender.task_facts != self._task_facts and sender.task_facts:
            self._task_facts = sender.task_facts
            logger.info("worker knows its tasks", extra=sender.task_facts)
        if not self.has_served and not sender.problems:
            self.has_served = True
            logger.info("worker serves")
        self._tell_silence({each for handle in self._handles for each in handle.silent})

    def fault(self, text: str) -> None:
        """Say why children cannot start: once, for each tries again and again until somebody mends it."""
        if text in ("", self._fault):
            return
        self._fault = text
        if self.has_served:
            others = sum(handle.has_beaten and not handle.has_left for handle in self._handles)
            facts = {"children": others}
            logger.error("children that end are not replaced: %s", text, extra=facts)
        else:
            logger.error("worker cannot start: %s", text)

    def _tell_silence(self, silent: set[str]) -> None:
        limits = {"ends": self._settings.log_jobs, "failures": FAILURES_PER_S}
        for name in sorted(silent - self._silent):
            text = (
                "more than %d/s in a process: %s are no longer logged one by one; metrics have them"
            )
            logger.warning(text, limits[name], name)
        for name in sorted(self._silent - silent):
            logger.info("%s are logged one by one again", name)
        self._silent = silent


def _shown(url: str) -> str:
    """Return a URL without what may be secret: user, password and query."""
    return urlsplit(url)._replace(netloc=place(url), query="", fragment="").geturl()
