"""The chores, a module each: `run_once` is one pass, and returns the seconds until there is more to do."""
