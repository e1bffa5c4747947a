"""What can go wrong with servers that are started on this machine."""


class LocalServerError(Exception):
    """A server cannot start or cannot go on; the text says why and what to do.

    It is no `TaskyardError`: nothing of the library is imported but this package.
    """
