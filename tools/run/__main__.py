"""What `python -m tools.run` does: run the stack of the current checkout until Ctrl-C."""

import os
import sys
from pathlib import Path

from taskyard.local_servers.errors import LocalServerError
from tools.run.console import Console
from tools.run.runner import run
from tools.run.settings import read_settings
from tools.run.stop_requests import StopRequests


def main() -> int:
    """Return the exit code: 0 once all was stopped on request, 1 if something went wrong."""
    stops = StopRequests()
    stops.listen()
    try:
        run(read_settings(os.environ, Path.cwd()), console=Console(), stops=stops)
    except LocalServerError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except OSError as error:  # a full disk, or a .run that another user has made
        print(f"\ntaskyard cannot run here: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
