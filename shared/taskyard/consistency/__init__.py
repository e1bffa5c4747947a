"""Whether every accepted job is accounted for."""
