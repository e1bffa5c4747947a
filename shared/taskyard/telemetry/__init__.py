"""What the services tell of themselves: logs, metrics, health and traces."""
