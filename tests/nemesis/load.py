"""The load: customers at every door, each in a thread of its own, for as long as a round lasts."""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from taskyard.errors import TaskyardError
from tests.nemesis import customers
from tests.nemesis.book import Book
from tests.nemesis.choices import Choice, Chooser
from tests.nemesis.customers import Customer
from tests.nemesis.listener import Listener
from tests.nemesis.producers import Producer
from tests.nemesis.stack import Stack

STOP_TIMEOUT_S = 40.0


@dataclass(frozen=True)
class Size:
    """How much is asked of the system."""

    #: How much longer the customers' pauses are than usual: at 1 they submit about 40 jobs a second.
    pace: float = 1.0
    batch: int = 20
    longest_delay_s: float = 10.0


class Load:
    """All customers of one round.

    Args:
        stack: The system.
        name: The round's.
        numbers: Of its jobs.
        seed: Where chance begins; each customer has a generator of its own.
        size: How much they do.
    """

    def __init__(
        self, stack: Stack, name: str, numbers: Iterator[int], *, seed: str, size: Size
    ) -> None:
        self.book = Book()
        self._stack = stack
        self._name = name
        self._numbers = numbers
        self._seed = seed
        self._size = size
        self._is_over = threading.Event()
        self._customers: list[Customer] = []
        self._listener = Listener(stack.apis[0].port, self.book)
        self._threads = [
            self._often(0.16, lambda at: customers.rest(at, repeats=1)),
            self._often(0.16, lambda at: customers.rest(at, repeats=customers.REPEATS)),
            self._often(2.0, lambda at: customers.batch(at, size=size.batch)),
            self._often(0.5, customers.unique),
            self._often(0.7, customers.cancel),
            *(self._often(0.5, self._python) for _ in range(4)),
            self._thread(self._producer().submit_until),
            self._thread(self._producer().publish_until),
        ]

    def start(self) -> None:
        """Let the customers begin."""
        self._listener.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Return once no customer asks for anything any more; the stream of events is still read."""
        self._is_over.set()
        for thread in self._threads:
            thread.join(STOP_TIMEOUT_S)
        for customer in self._customers:
            customer.close()

    def close(self) -> None:
        """Return once the stream of events is closed too."""
        self._listener.stop()

    def burst(self, count: int, task: str = "nap", seconds: float = 0.3) -> None:
        """Submit many jobs at once, so that a queue is not empty."""
        customer = self._customer()
        numbers = [customer.chooser.number() for _ in range(count)]
        chosen = [Choice(number, task, [number, seconds]) for number in numbers]
        customers.submit_batch(customer, "burst", "x", chosen)
        customer.close()

    def _customer(self) -> Customer:
        rng = random.Random(f"{self._seed}/{len(self._customers)}")
        chooser = Chooser(rng, self._numbers, longest_delay_s=self._size.longest_delay_s)
        ports = self._stack.apis[0].port, self._stack.apis[1].port
        customer = Customer(self._name, ports, chooser, self.book)
        self._customers.append(customer)
        return customer

    def _producer(self) -> Producer:
        stack = self._stack
        return Producer(self._customer(), stack.rabbit.url, stack.replies, self._size.pace)

    def _python(self, customer: Customer) -> None:
        customers.python(customer, self._stack.client)

    def _often(
        self, pause_s: float, act: Callable[[Customer], Iterator[float] | None]
    ) -> threading.Thread:
        """Return a thread in which a customer acts again and again."""
        customer = self._customer()

        def run(is_over: threading.Event) -> None:
            while not is_over.wait(pause_s * self._size.pace * customer.rng.uniform(0.5, 1.5)):
                for pause in act(customer) or ():
                    if is_over.wait(pause):
                        return

        return self._thread(run)

    def _thread(self, run: Callable[[threading.Event], None]) -> threading.Thread:
        """Return a thread that runs until the load is over; what it did not expect is noted."""

        def guarded() -> None:
            while not self._is_over.is_set():
                try:
                    run(self._is_over)
                except (TaskyardError, LookupError, TypeError, ValueError) as error:
                    self.book.surprises.append(f"{type(error).__name__}: {error}")

        return threading.Thread(target=guarded, name="customer", daemon=True)
