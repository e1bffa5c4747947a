"""The chores, a module each."""
