"""The worker: a supervisor and its children, which run the jobs."""
