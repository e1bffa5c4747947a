"""What commands print: names and texts of others cannot make lines of their own, or move the cursor."""

import json
from typing import Any

import click

from taskyard.short_text import visible


def say(line: str, *, err: bool = False) -> None:
    """Print one line; what would not show in it, or end it, is escaped."""
    click.echo(visible(line), err=err)


def say_json(value: Any, *, indent: int | None = None) -> None:
    """Print a value as JSON; what would not show is escaped as JSON has it."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    click.echo("\n".join(map(visible, text.split("\n"))))
