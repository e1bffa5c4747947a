"""One run of the stack, from the lock on its folder to the last process gone."""

from taskyard.local_servers.leftovers import end_leftovers
from tools.run.console import Console
from tools.run.lock import locked
from tools.run.settings import RunSettings
from tools.run.stack import Stack
from tools.run.stop_requests import StopRequested, StopRequests


def run(settings: RunSettings, *, console: Console, stops: StopRequests) -> None:
    """Run the stack until the user stops it; return once everything it started is gone.

    Raises:
        LocalServerError: If it cannot start, or one of its processes ended on its own.
    """
    with locked(settings.folder):
        end_earlier_run(settings, console)
        stack = Stack(settings, console=console, stops=stops)
        try:
            stack.start()
            stack.watch()
        except StopRequested:
            console.say("\nAsked to stop; ask again to kill")
        finally:
            stack.stop()


def end_earlier_run(settings: RunSettings, console: Console) -> None:
    """End what runs on from an earlier run that was killed."""
    count = end_leftovers(settings.folder)
    if count:
        console.say(f"Ended {count} processes of an earlier run that was killed")
