"""What a delivery has to pass before it claims an attempt, and what becomes of those that do not."""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from services.worker.attempts.dead_letters import PendingDeadLetters
from services.worker.attempts.refusal import InvalidMessage, refusal
from services.worker.attempts.registry import AttemptRegistry
from services.worker.consuming.inbox import Delivery
from services.worker.consuming.source import Source
from taskyard.arguments import signature
from taskyard.config import Settings
from taskyard.dead_letters.message import dead_letter
from taskyard.errors import InvalidSubmission
from taskyard.job import JobError
from taskyard.message import MESSAGE_SLACK_BYTES, Invalid, Message, Undecodable, decode
from taskyard.policy.limits import key_text, key_value
from taskyard.rabbitmq.bodies import whole_bytes
from taskyard.rabbitmq.properties import received_text
from taskyard.runtime.keyed_hash import KeyedHash
from taskyard.store import JobStore
from taskyard.store.attempts import Claim
from taskyard.task import Task
from taskyard.telemetry import trace_context
from taskyard.validation.nesting import check_json_depth

logger = logging.getLogger(__name__)

#: How often a job is put off while no worker here knows its task. Milliseconds.
PARK_DELAY_MS = 2_000

#: Deliveries that may become attempts, with their messages, by job id.
Candidates = dict[str, tuple[Delivery, Message]]


class Admission:
    """Makes claims of deliveries, and dead letters of those that can never be one.

    Args:
        store: Where jobs are recorded.
        consumer: Where refused messages are acknowledged.
        dead_letters: What writes dead letters.
        tasks: The tasks that this worker has, by name.
        settings: Limits and defaults.
        owner: Name of this worker in dead letters.
    """

    def __init__(
        self,
        store: JobStore,
        consumer: Source,
        dead_letters: PendingDeadLetters,
        tasks: Mapping[str, Task[..., Any]],
        settings: Settings,
        owner: str,
    ) -> None:
        self._store = store
        self._consumer = consumer
        self._dead_letters = dead_letters
        self._tasks = tasks
        self._settings = settings
        self._owner = owner
        #: Of tasks with a key: its name, the positional parameters, and its default.
        self._keys = {
            name: _key(task, task.options.key) for name, task in tasks.items() if task.options.key
        }

    def admit(self, deliveries: Sequence[Delivery], registry: AttemptRegistry) -> Candidates:
        """Return the deliveries that may claim an attempt; the others are refused, or wait in the inbox.

        One whose attempt runs here claims too, and is answered `leased`: the store counts a job's messages.
        """
        candidates: Candidates = {}
        for delivery in deliveries:
            message = self.decoded(delivery)
            if message is None:
                continue
            attempt = registry.get(message.message_id)
            if attempt is not None and attempt.is_lost:
                attempt = None  # the job is not ours any more: whether it may start is for the store to say
            # The store would take it for a repeated claim of ours, and let it run twice.
            delivery.is_surplus = attempt is not None and attempt.number >= message.options.attempt
            if message.message_id in candidates:
                self._consumer.inbox.put(delivery)  # after that one
            else:
                candidates[message.message_id] = delivery, message
        return candidates

    def decoded(self, delivery: Delivery) -> Message | None:
        """Return the message in `delivery`, or None if it is refused."""
        if delivery.refusal is not None:
            return delivery.refusal.message
        limit = self._settings.payload_max_bytes + MESSAGE_SLACK_BYTES
        size = whole_bytes(delivery.body)
        if size > limit:
            self.refuse(delivery, "too_large", f"{size} bytes, above {limit}")
            return None
        try:
            message = decode(delivery.body)
            check_json_depth(delivery.body)
            if message.options.traceparent is None and delivery.properties.headers:
                # Producers with OpenTelemetry's own instrumentation put it there.
                given = delivery.properties.headers.get("traceparent")
                message.options.traceparent = trace_context.valid(given)
            return message
        except Undecodable as error:
            self.refuse(delivery, "undecodable", str(error))
        except (Invalid, InvalidSubmission) as error:
            self.refuse(delivery, "invalid", str(error))
        except Exception as error:
            # Decoding looks at nothing but the message: whatever it meets there is the message's own.
            logger.exception("message cannot be read", extra={"queue": delivery.queue})
            self.refuse(delivery, "undecodable", f"it cannot be read: {type(error).__name__}")
        return None

    def claims(self, candidates: Candidates) -> list[Claim]:
        """Return the claim of each of `candidates`, and take out those for which that fails.

        Only the message is looked at, so whatever fails is its own fault: it is refused.
        """
        claims = []
        for job_id, (delivery, message) in list(candidates.items()):
            try:
                claims.append(self._claim(delivery, message))
            except Exception as error:
                logger.exception("message cannot be claimed", extra={"queue": delivery.queue})
                del candidates[job_id]
                self.refuse(delivery, "invalid", f"it cannot be claimed: {type(error).__name__}")
        return claims

    def _claim(self, delivery: Delivery, message: Message) -> Claim:
        if delivery.refusal is not None:  # it does not run: no limit and no worker's task matters
            claim_key = message.message_id, message.options.attempt, delivery.queue
            alone = delivery.channel is None
            return Claim(*claim_key, is_alone=alone, is_surplus=delivery.is_surplus)
        is_known = message.task in self._tasks
        expires_s = message.expires_s
        return Claim(
            message.message_id,
            message.options.attempt,
            delivery.queue,
            0 if expires_s is None else max(1, round(expires_s * 1000)),
            0 if is_known else PARK_DELAY_MS,
            0 if is_known else self._settings.unknown_task_ttl * 1000,
            message.task,
            self._limit_key(message),
            delivery.priority,
            delivery.channel is None,
            delivery.is_surplus,
        )

    def _limit_key(self, message: Message) -> str:
        key = self._keys.get(message.task)
        if key is None:
            return ""
        name, names, default, is_secret = key
        value = key_value(name, names, message.args, message.kwargs)
        digest = self._secret_digest if is_secret else None
        return key_text(default if value is None else value, digest)

    @cached_property
    def _secret_digest(self) -> Callable[[bytes], str]:
        return partial(KeyedHash(self._store.secret).digest, "limits")

    def refuse(self, delivery: Delivery, reason: str, why: str) -> None:
        """Refuse a message: have its job claimed to fail, or where it is of none, write its dead letter."""
        self.log_refused(delivery, reason, why)
        error = InvalidMessage(reason, why)
        if delivery.refusal is None:
            delivery.refusal = refusal(delivery, error)
            if delivery.refusal is not None:
                self._consumer.inbox.put(delivery)
                return
        self.write_letter(delivery, error)

    def log_refused(self, delivery: Delivery, reason: str, why: str) -> None:
        """Log why a message is refused."""
        facts = {"queue": delivery.queue, "reason": reason}
        logger.error("message refused: %s", why, extra=facts)

    def write_letter(self, delivery: Delivery, error: InvalidMessage) -> None:
        """Write the dead letter of a message that is of no job, and then acknowledge it."""
        letter = dead_letter(
            delivery.queue,
            delivery.body,
            id=received_text(delivery.properties.message_id),
            task=received_text(delivery.properties.type),
            error=JobError(type="InvalidMessage", message=str(error), reason=error.code),
            worker=self._owner,
            priority=delivery.priority,
        )
        self._dead_letters.write(
            letter, error.code, delivery, lambda: self._consumer.ack([delivery])
        )


def _key(task: Task[..., Any], key: str) -> tuple[str, Sequence[str], Any, bool]:
    described = signature.describe(task.function)
    default = described["schema"]["properties"].get(key, {}).get("default")
    return key, described["positional"], default, key in described["secret"]
