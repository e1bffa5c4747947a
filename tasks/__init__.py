"""The tasks that come with taskyard; put yours beside them, or name your own modules in `TASK_MODULES`."""

from tasks.demo import async_nap, background_task, fail, flaky, nap, progress

__all__ = ["async_nap", "background_task", "fail", "flaky", "nap", "progress"]
