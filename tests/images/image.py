"""A built image, as Docker saves it: its layers one by one, and what is told with it."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any


def docker(*arguments: str) -> str:
    """Return what docker prints.

    Raises:
        subprocess.CalledProcessError: If it failed; what it said is on the terminal.
    """
    done = subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


class Image:
    """An image in Docker's store.

    What a later layer removes is still in the image, so files are read by layers.

    Args:
        name: Its name or id.
        folder: Where to save it; it takes as much as the image is large.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self._path = folder / "image.tar"
        docker("save", "--output", str(self._path), name)

    @cached_property
    def described(self) -> dict[str, Any]:
        """What Docker tells of it."""
        (found,) = json.loads(docker("image", "inspect", self.name))
        return dict(found)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes."""
        return dict(each.split("=", 1) for each in self.described["Config"]["Env"])

    @property
    def history(self) -> list[str]:
        """The steps that made it, with the arguments they had."""
        return docker(
            "history", "--no-trunc", "--format", "{{.CreatedBy}} {{.Comment}}", self.name
        ).splitlines()

    def files(self, *, skip_layers: int = 0) -> Iterator[tuple[str, IO[bytes]]]:
        """Give the path and the content of each file of each layer, but for the first ones."""
        with tarfile.open(self._path) as saved:
            (manifest,) = json.load(_member(saved, "manifest.json"))
            for layer in manifest["Layers"][skip_layers:]:
                with tarfile.open(fileobj=_member(saved, layer)) as content:
                    for each in content:
                        if each.isfile():
                            yield each.name, _member(content, each)

    @property
    def layers(self) -> list[str]:
        """The digests of its layers, the base first."""
        return list(self.described["RootFS"]["Layers"])


def _member(archive: tarfile.TarFile, name: str | tarfile.TarInfo) -> IO[bytes]:
    found = archive.extractfile(name)
    assert found is not None
    return found
