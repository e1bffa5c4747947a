"""All that reaches into Dramatiq: actors, worker threads, interrupts."""
