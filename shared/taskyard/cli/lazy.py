"""Groups of commands whose modules are imported only when their command is called, or asked for its help."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem


class Later:
    """A command that is not imported yet.

    Args:
        path: The module in `taskyard.cli`, and the name in it.
        help: What lists of commands say of it: how its own help begins.
        examples: Lines of a shell, for the end of its own help.
    """

    def __init__(self, path: str, help: str, *examples: str) -> None:  # noqa: A002 - click's word
        self.path = path
        self.help = help
        self.examples = examples

    def load(self) -> click.Command:
        """Import and return it."""
        module, _, name = self.path.partition(":")
        command = getattr(import_module(f"taskyard.cli.commands.{module}"), name)
        assert isinstance(command, click.Command)
        if self.examples:
            command.epilog = "\n".join(["\b\nExamples:", *(f"  {each}" for each in self.examples)])
        return command


class LazyGroup(click.Group):
    """A group of commands that are imported when they are needed.

    Args:
        sections: The commands by their names, by what stands above them in the help.
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Mapping[str, Later]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections
        self._later = {name: each for part in sections.values() for name, each in part.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, as the help has them."""
        return [*self._later, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is none of this name."""
        later = self._later.get(cmd_name)
        return later.load() if later else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that `args` begin with, and its arguments.

        Raises:
            click.UsageError: If there is none of this name; it says which may be meant.
        """
        name = args[0]
        is_option = name.startswith("-")  # one that the group does not have: click says so
        if not (is_option or ctx.resilient_parsing or self.get_command(ctx, name)):
            from taskyard.validation.field_words import no_such

            text = no_such("command", name, self.list_commands(ctx), is_listed=False)
            raise click.UsageError(text, ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by their sections, without importing them."""
        for title, part in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, each.help) for name, each in part.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands that begin so, without importing them; else the options."""
        found = [
            CompletionItem(name, help=each.help)
            for name, each in self._later.items()
            if name.startswith(incomplete)
        ]
        return found or super().shell_complete(ctx, incomplete)
