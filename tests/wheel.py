"""The library's wheel, installed into an environment that has what it asks for and nothing else."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

CHECKOUT = Path(__file__).parents[1]


def installed_alone(folder: Path) -> Path:
    """Build and install the wheel, without a network; return the folder of the programs that came of it.

    What it needs, by its own metadata and without extras, is linked from the environment of the tests.
    The installer refuses a wheel that needs more than is there.
    """
    wheel = _build(folder / "wheels")
    (library,) = metadata.distributions(path=[str(wheel)])
    environment = folder / "environment"
    _run(sys.executable, "-m", "venv", "--without-pip", environment)
    (packages,) = environment.glob("lib/python*/site-packages")
    for needed in set(_all_needed(library.requires or [], extras=())):
        _link(metadata.distribution(needed), packages)
    uv = Path(sys.executable).with_name("uv")
    programs = environment / "bin"
    _run(uv, "pip", "install", "--offline", "--no-index", "--python", programs / "python", wheel)
    return programs


def _build(folder: Path) -> Path:
    """Return the wheel of the checkout, built as `pip install .` builds it, by the locked backend."""
    options = ("--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", folder)
    _run(sys.executable, "-m", "pip", "wheel", *options, CHECKOUT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _all_needed(requirements: Iterable[str], extras: Iterable[str]) -> Iterator[str]:
    """Give the names of what is required here, and of what that requires."""
    for line in requirements:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement.name
            further = metadata.requires(requirement.name) or []
            yield from _all_needed(further, requirement.extras)


def _link(distribution: metadata.Distribution, packages: Path) -> None:
    """Put a distribution's files there, but the programs that it has elsewhere."""
    for file in distribution.files or []:
        if ".." not in file.parts:
            (packages / file).parent.mkdir(parents=True, exist_ok=True)
            (packages / file).symlink_to(str(distribution.locate_file(file)))


def _run(*command: object) -> None:
    subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)
