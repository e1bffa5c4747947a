"""The arguments and results of tasks: their schemas, their form as JSON, and what of them is secret."""
