"""Measurements of speed, beside peers in the same run; `make bench` runs them. Nothing here is a test."""
