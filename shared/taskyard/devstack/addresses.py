"""How others reach a running stack: a file for the shell, and the lines that greet the user."""

import shlex
from collections.abc import Mapping
from pathlib import Path

EXAMPLE_JOB = '{"task":"background_task","args":[1,2]}'

GREETING = """
taskyard is ready after {seconds:.1f} s: {url}

Submit a job   curl -s {url}/v1/jobs -H 'Content-Type: application/json' -d '{job}'
Read it        curl -s '{url}/v1/jobs/<id>?wait_s=5'
Addresses      source {env_file}
Stop           Ctrl-C
"""


def write_env_file(path: Path, addresses: Mapping[str, str]) -> None:
    """Write the addresses as a file that a shell can source."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in addresses.items()]
    path.touch(mode=0o600)  # a broker's address may hold a password
    path.write_text("".join(lines))


def greeting(url: str, *, env_file: Path, seconds: float) -> str:
    """Return what the user is told once the stack is ready."""
    return GREETING.format(url=url, env_file=env_file, seconds=seconds, job=EXAMPLE_JOB)
