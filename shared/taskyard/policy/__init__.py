"""What is decided about jobs without any connection: limits, and what becomes of a failed attempt."""
