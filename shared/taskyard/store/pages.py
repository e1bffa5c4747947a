"""Pages of lists: how large one gets, and where the next one begins."""

#: A page ends where it would be larger, but for its first entry: of so many bytes in the store, or as JSON.
PAGE_BYTES = 8 * 1024 * 1024

#: Where a page ended: the place in its order (mostly a time) and the id of the last entry that was looked at.
Cursor = tuple[int, str]
