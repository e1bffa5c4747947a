"""Whether JSON is well-formed and fits, and in plain words what is wrong with it."""
