"""The routes, a module a topic: each translates HTTP to a call of the library."""
