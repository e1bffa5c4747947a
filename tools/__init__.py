"""What contributors run: not in the wheel."""
