"""What a time without the store means for leases: nobody could extend them, so nobody is to blame."""

from typing import Protocol


class OutageStore(Protocol):
    """The part of the store that knows when it was last of use."""

    def forgive_outage(self, gap_ms: int, grace_ms: int) -> bool:
        """Extend all leases to `grace_ms` from now if nobody has called this for `gap_ms`.

        Owners that are known to have ended get no grace. Returns whether there was one, or the clock was set
        forward. After it was set back, leases that would last longer than `grace_ms` are cut to that.
        """
