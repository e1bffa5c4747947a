"""What a delivery has to pass before it asks for its attempt: it decodes, fits its task, and has a record."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import msgspec

from services.worker.attempts.adoption import Adoption
from services.worker.attempts.burial import Burial
from services.worker.attempts.refusal import InvalidMessage, refusal
from services.worker.attempts.running import RunningAttempt
from services.worker.consuming.inbox import Delivery
from services.worker.consuming.source import Source
from taskyard.arguments import signature
from taskyard.config import Settings
from taskyard.dead_letters.message import dead_letter
from taskyard.errors import InvalidSubmission, StoreFault, loggable_text
from taskyard.job import JobError
from taskyard.job_creation import Defaults
from taskyard.message import MESSAGE_SLACK_BYTES, Invalid, Message, Undecodable, decode
from taskyard.policy.limits import key_text, key_value
from taskyard.rabbitmq.bodies import whole_bytes
from taskyard.rabbitmq.properties import received_text
from taskyard.runtime.keyed_hash import KeyedHash
from taskyard.store import JobStore
from taskyard.store.attempts import Claim, Outcome, Settled, Verdict
from taskyard.store.jobs import NewJob
from taskyard.task import Task
from taskyard.telemetry import trace_context
from taskyard.validation.nesting import check_json_depth

logger = logging.getLogger(__name__)

#: How often a job is put off while no worker here knows its task. Milliseconds.
PARK_DELAY_MS = 2_000

#: Deliveries that ask for their attempts, with their messages, by job id.
Asking = dict[str, tuple[Delivery, Message]]


class Admission:
    """Makes claims of deliveries, and dead letters of those that can never be one.

    Args:
        store: Where jobs are recorded.
        consumer: Where refused messages are acknowledged.
        burial: What writes dead letters.
        tasks: The tasks that this worker knows, by name.
        settings: Limits and defaults.
        owner: Name of this worker in dead letters.
    """

    def __init__(
        self,
        store: JobStore,
        consumer: Source,
        burial: Burial,
        tasks: Mapping[str, Task[..., Any]],
        settings: Settings,
        owner: str,
    ) -> None:
        self._store = store
        self._consumer = consumer
        self._burial = burial
        self._tasks = tasks
        self._settings = settings
        self._owner = owner
        self._adoption = Adoption(tasks, settings)
        #: Of tasks with a key: its name, the positional parameters, and its default.
        self._keys = {
            name: _key(task, task.options.key) for name, task in tasks.items() if task.options.key
        }

    def defaults(self, task: str) -> Defaults:
        """Return what jobs of `task` get where they do not say."""
        return self._adoption.defaults(task)

    def asking(
        self, deliveries: Sequence[Delivery], running: Mapping[str, RunningAttempt]
    ) -> Asking:
        """Return the deliveries that may ask for a claim; settle those that may not.

        One whose attempt runs here asks too, and is told `leased`: the store counts the messages of a job.
        """
        asking: Asking = {}
        for delivery in deliveries:
            message = self.decoded(delivery)
            if message is None:
                continue
            attempt = running.get(message.message_id)
            if attempt is not None and attempt.is_lost:
                attempt = None  # the job is not ours any more: whether it may start is for the store to say
            # The store would take it for a repeated claim of ours, and let it run twice.
            delivery.is_surplus = attempt is not None and attempt.number >= message.options.attempt
            if message.message_id in asking:
                self._consumer.inbox.put(delivery)  # after that one
            else:
                asking[message.message_id] = delivery, message
        return asking

    def decoded(self, delivery: Delivery) -> Message | None:
        """Return the message in `delivery`, or None if it is refused."""
        if delivery.refusal is not None:
            return delivery.refusal.message
        limit = self._settings.payload_max_bytes + MESSAGE_SLACK_BYTES
        size = whole_bytes(delivery.body)
        if size > limit:
            self.bury(delivery, "too_large", f"{size} bytes, above {limit}")
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
            self.bury(delivery, "undecodable", str(error))
        except (Invalid, InvalidSubmission) as error:
            self.bury(delivery, "invalid", str(error))
        except Exception as error:
            # Decoding looks at nothing but the message: whatever it meets there is the message's own.
            logger.exception("message cannot be read", extra={"queue": delivery.queue})
            self.bury(delivery, "undecodable", f"it cannot be read: {type(error).__name__}")
        return None

    def adopt_unknown(
        self,
        entries: Sequence[tuple[Delivery, Message]],
        claims: Sequence[Claim],
        verdicts: list[Verdict],
        *,
        call: int,
    ) -> None:
        """Record jobs that the store does not know, and put what it says then into `verdicts`.

        Args:
            entries: All deliveries of a claim, with their messages.
            claims: The claim of each.
            verdicts: What the store has said of each.
            call: The number of the claim.
        """
        unknown = [i for i, verdict in enumerate(verdicts) if verdict.kind == "unknown"]
        for delivery in [entries[index][0] for index in unknown]:
            if delivery.refusal is not None:
                # It is of no job that is known: its letter is all that there is to write.
                self._write_letter(delivery, delivery.refusal.error)
        unknown = [index for index in unknown if entries[index][0].refusal is None]
        if not unknown:
            return
        made = {index: self._made(*entries[index]) for index in unknown}
        jobs = {index: job for index, job in made.items() if isinstance(job, NewJob)}
        if jobs:
            created = self._store.create(list(jobs.values()))
            again = self._store.claim(
                self._owner, self._owner, [claims[i] for i in jobs], call=call
            )
            for index, answer, verdict in zip(jobs, created, again, strict=True):
                is_fault = isinstance(answer, StoreFault)
                verdicts[index] = Verdict("fault") if is_fault else verdict
        for index, job in made.items():
            if isinstance(job, InvalidMessage):
                self._write_letter(entries[index][0], job)

    def _made(self, delivery: Delivery, message: Message) -> NewJob | InvalidMessage:
        """Return the job that a message becomes, or why it becomes none: then that is its own fault."""
        try:
            self._adoption.check(message)
            return self._adoption.job(delivery, message)
        except InvalidSubmission as error:
            self._log_refused(delivery, "invalid", loggable_text(error))
            return InvalidMessage("invalid", str(error))
        except (UnicodeDecodeError, msgspec.DecodeError):
            # Fields that are not known are read here for the first time.
            why = "what is in a field that is not known is not JSON"
            self._log_refused(delivery, "undecodable", why)
            return InvalidMessage("undecodable", why)
        except Exception as error:
            logger.exception("message becomes no job", extra={"queue": delivery.queue})
            return InvalidMessage("invalid", f"it becomes no job: {type(error).__name__}")

    def adopt_ended(
        self, entries: Sequence[tuple[Outcome, RunningAttempt]], told: list[Settled]
    ) -> None:
        """Record jobs that have ended and that the store does not know, and put what it says then in `told`.

        It was emptied while they ran: their messages have all that a record needs, and no outcome is lost.
        """
        ended = [
            index
            for index, answer in enumerate(told)
            if answer == "missing"
            and entries[index][0].kind != "released"
            and entries[index][1].delivery.refusal is None
        ]
        if not ended:
            return
        attempts = [entries[index][1] for index in ended]
        made = self._store.create(
            [self._adoption.job(each.delivery, each.message) for each in attempts]
        )
        outcomes = [entries[index][0] for index in ended]
        again, _ = self._store.exchange(outcomes, self._owner, self._owner, ())
        for index, created, answer in zip(ended, made, again, strict=True):
            told[index] = "fault" if isinstance(created, StoreFault) else answer

    def claims(self, asking: Asking) -> list[Claim]:
        """Return what asks the store for each of `asking`, and take out those for which that fails.

        Only the message is looked at, so whatever fails is its own fault: it is refused.
        """
        claims = []
        for job_id, (delivery, message) in list(asking.items()):
            try:
                claims.append(self._claim(delivery, message))
            except Exception as error:
                logger.exception("message cannot be claimed", extra={"queue": delivery.queue})
                del asking[job_id]
                self.bury(delivery, "invalid", f"it cannot be claimed: {type(error).__name__}")
        return claims

    def _claim(self, delivery: Delivery, message: Message) -> Claim:
        if delivery.refusal is not None:  # it does not run: no limit and no worker's task matters
            asked = message.message_id, message.options.attempt, delivery.queue
            alone = delivery.channel is None
            return Claim(*asked, is_alone=alone, is_surplus=delivery.is_surplus)
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

    def bury(self, delivery: Delivery, reason: str, why: str) -> None:
        """Refuse a message: have its job claimed to fail, or where it is of none, write its dead letter."""
        self._log_refused(delivery, reason, why)
        error = InvalidMessage(reason, why)
        if delivery.refusal is None:
            delivery.refusal = refusal(delivery, error)
            if delivery.refusal is not None:
                self._consumer.inbox.put(delivery)
                return
        self._write_letter(delivery, error)

    def _log_refused(self, delivery: Delivery, reason: str, why: str) -> None:
        facts = {"queue": delivery.queue, "reason": reason}
        logger.error("message refused: %s", why, extra=facts)

    def _write_letter(self, delivery: Delivery, error: InvalidMessage) -> None:
        letter = dead_letter(
            delivery.queue,
            delivery.body,
            id=received_text(delivery.properties.message_id),
            task=received_text(delivery.properties.type),
            reason=error.code,
            error=JobError(type="InvalidMessage", message=str(error), reason=error.code),
            attempts=0,
            first_failed_at_ms=round(time.time() * 1000),
            worker=self._owner,
            priority=delivery.priority,
        )
        self._burial.bury(letter, error.code, delivery, lambda: self._consumer.ack([delivery]))


def _key(task: Task[..., Any], key: str) -> tuple[str, Sequence[str], Any, bool]:
    described = signature.describe(task.function)
    default = described["schema"]["properties"].get(key, {}).get("default")
    return key, described["positional"], default, key in described["secret"]
