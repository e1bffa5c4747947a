"""Faults thrown at the whole system under load, and a judge who sees only what is seen from outside."""
