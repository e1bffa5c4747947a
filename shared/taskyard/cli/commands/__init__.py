"""The commands, a module a topic; each is imported when one of its commands is called."""
