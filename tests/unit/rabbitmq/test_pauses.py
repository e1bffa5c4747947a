"""How long a lost connection waits before it is made anew."""

import pytest

from taskyard.rabbitmq.pauses import MAX_S, Patience, Pauses


class Clock:
    """A clock that tests set."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pauses(clock):
    return Pauses(clock)


def lose(pauses, times):
    """Lose a connection so often as soon as it is open; return the bounds of the pauses."""
    bounds = []
    for _ in range(times):
        pauses.opened()
        pauses.lost()
        bounds.append(pauses.longest_s)
    return bounds


def test_the_first_loss_is_no_reason_to_wait(pauses):
    """RabbitMQ may have closed one connection only."""
    assert lose(pauses, 1) == [0.0]


def test_a_connection_that_is_lost_as_soon_as_it_opens_makes_pauses_longer(pauses):
    """Up to the longest."""
    bounds = lose(pauses, 9)

    assert bounds == sorted(bounds)
    assert bounds[-2:] == [MAX_S, MAX_S]
    assert 0 <= pauses.next_s() <= MAX_S


def test_what_cannot_be_opened_makes_pauses_longer(pauses):
    """Likewise."""
    for _ in range(9):
        pauses.lost()

    assert pauses.longest_s == MAX_S


def test_a_connection_that_has_lived_makes_them_short_again(pauses, clock):
    """Whatever was before it."""
    lose(pauses, 9)
    pauses.opened()
    clock.now += MAX_S + 1
    pauses.lost()

    assert pauses.longest_s == 0.0


def test_losses_that_say_nothing_of_the_server_make_pauses_no_longer(pauses):
    """But there are some, or a name that costs a connection would cost as many as there is time for."""
    lose(pauses, 9)
    bounds = []
    for _ in range(9):
        pauses.opened()
        pauses.lost()
        pauses.excuse()
        bounds.append(pauses.longest_s)

    assert 0 < bounds[0] < 1
    assert bounds == [bounds[0]] * 9


def test_patience_grows_with_hosts_that_are_left_in_vain():
    """Three are left soon; later ones are given ever more time, up to a minute."""
    now = [0.0]
    patience = Patience(lambda: now[0])
    seen = []
    for _ in range(8):
        seen.append(patience.s)
        patience.lost()

    assert seen == [4, 4, 2, 8, 16, 32, 60, 60]
    now[0] += 121
    assert patience.s == 4
