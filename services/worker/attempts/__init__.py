"""The life of an attempt: taken, claimed, run, decided, settled, acknowledged; begin with `executor`."""
