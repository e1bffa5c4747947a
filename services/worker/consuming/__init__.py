"""Where a child's deliveries come from, and how many of them it takes."""
