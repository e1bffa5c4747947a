"""What `python -m taskyard.devstack` does: run the stack of the current checkout until Ctrl-C."""

import os
import sys
from pathlib import Path

from taskyard.devstack.console import Console
from taskyard.devstack.errors import DevStackError
from taskyard.devstack.runner import run
from taskyard.devstack.settings import read_settings
from taskyard.devstack.stop_requests import StopRequests


def main() -> int:
    """Return the exit code: 0 once all was stopped on request, 1 if something went wrong."""
    stops = StopRequests()
    stops.listen()
    try:
        run(read_settings(os.environ, Path.cwd()), console=Console(), stops=stops)
    except DevStackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, or a .run that another user has made
        print(f"\ntaskyard cannot run here: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
