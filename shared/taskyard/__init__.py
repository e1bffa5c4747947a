"""taskyard: background jobs over RabbitMQ. `from taskyard import task` is all that a task module needs.

Importing it opens no connection: a task is a plain function until `.delay()` is called.
"""

from taskyard.arguments.secrets import Secret
from taskyard.client import client, configure
from taskyard.context import current_job
from taskyard.errors import (
    BrokerUnavailable,
    InvalidSubmission,
    JobCancelled,
    JobFailed,
    JobNotFound,
    JobTimeout,
    Retry,
    StoreUnavailable,
    TaskyardError,
    TooLate,
    Unavailable,
)
from taskyard.job_handle import JobHandle
from taskyard.task import Task, task

__version__ = "0.1.0"

__all__ = [
    "BrokerUnavailable",
    "InvalidSubmission",
    "JobCancelled",
    "JobFailed",
    "JobHandle",
    "JobNotFound",
    "JobTimeout",
    "Retry",
    "Secret",
    "StoreUnavailable",
    "Task",
    "TaskyardError",
    "TooLate",
    "Unavailable",
    "client",
    "configure",
    "current_job",
    "task",
]
