"""What Dramatiq's threads take for a message."""

from dramatiq import MessageProxy


class SlotMessage(MessageProxy):
    """The base of attempts: a thread reads its actor's name and arguments, and marks it as failed."""
