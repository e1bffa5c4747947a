"""How large messages may be."""

#: What RabbitMQ is to take at most (its `max_message_size`, whose default differs by version): above all that
#: taskyard publishes itself, and no more than some of which a service can have in hand. Bytes.
MAX_MESSAGE_BYTES = 8_388_608
