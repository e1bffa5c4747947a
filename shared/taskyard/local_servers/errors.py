"""What can go wrong while the development stack runs."""


class DevStackError(Exception):
    """The stack cannot start or cannot go on; the text says why and what to do.

    It stands apart from `TaskyardError` because the stack imports nothing of the library it starts.
    """


class StopRequested(Exception):
    """The user asked to stop while the stack was still starting."""
