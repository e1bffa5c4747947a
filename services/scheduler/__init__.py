"""The scheduler: chores that bring waiting, unconfirmed and lost jobs to the queues, and keep the books."""
