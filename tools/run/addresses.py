"""How others reach a running stack: a file for the shell, and the lines that greet the user."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tools.run.given_servers import address, place, server

EXAMPLE_JOB = '{"id":"first","task":"background_task","args":[1,2]}'

ENV_HEAD = "# Where the servers of `make run` are, as long as it runs: source ./.run/env\n"

GREETING = """
taskyard is ready after {seconds:.1f} s: {url}

{servers}
Submit a job   curl -s {url}/v1/jobs -H 'Content-Type: application/json' -d '{job}'
Read it        curl -s '{url}/v1/jobs/first?wait_s=5'
From a shell   source ./{env_file} && .venv/bin/taskyard submit background_task 1 2 --wait 5
From Python    source ./{env_file} && .venv/bin/python; README.md goes on from there
Stop           Ctrl-C
"""


def write_env_file(path: Path, addresses: Mapping[str, str]) -> None:
    """Write the addresses as a file that a shell can source."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in addresses.items()]
    path.touch(mode=0o600)  # a broker's address may hold a password
    path.write_text(ENV_HEAD + "".join(lines))


def greeting(addresses: Mapping[str, str], *, env_file: str, seconds: float) -> str:
    """Return what the user is told once the stack is ready.

    Args:
        addresses: What is in the file for other shells.
        env_file: The path of that file.
        seconds: How long the start took.
    """
    servers = "".join(
        f"{server(name):<14} {place(address(name, text))}{_page(name, addresses)}\n"
        for name, text in addresses.items()
        if name.startswith(("BROKER_URL", "RESULT_BACKEND"))
    )
    return GREETING.format(
        url=addresses["API_URL"],
        servers=servers,
        env_file=env_file,
        seconds=seconds,
        job=EXAMPLE_JOB,
    )


def _page(name: str, addresses: Mapping[str, str]) -> str:
    """Return where RabbitMQ's own page is and who may see it, where that is known."""
    url = addresses.get("RABBITMQ_MANAGEMENT_URL")
    if url is None or not name.startswith("BROKER_URL"):
        return ""
    parts = urlsplit(url)
    return f", its page http://{place(url)} ({parts.username}, {parts.password})"
