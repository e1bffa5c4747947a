"""All that speaks AMQP to RabbitMQ: topology, connections, publishing with confirms, looks into queues."""
