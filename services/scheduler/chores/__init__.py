"""The chores, a module each: `run_once` is one pass, and returns the seconds until there is more to do.

Modules that do not begin with "The chore" are parts of these.
"""
