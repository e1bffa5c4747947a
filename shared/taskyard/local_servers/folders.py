"""The folder of local servers: its data is for nobody else to read."""

from pathlib import Path


def make_private(folder: Path) -> None:
    """Have a folder that only its owner may look into: all arguments and results of jobs are there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
