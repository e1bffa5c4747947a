"""Live streams: the events they carry, and how many there may be."""
