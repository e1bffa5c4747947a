"""Recurring schedules: their rules and fire times, what they do next, and how the store keeps them."""
