"""What `make run` does: RabbitMQ, Redis and the three services on one machine, without containers."""
