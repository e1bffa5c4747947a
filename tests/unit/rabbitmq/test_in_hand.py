"""How many bytes of deliveries are in hand, and how many deliveries may come."""

from taskyard.rabbitmq.in_hand import InHand, Sizes, portion

MIB = 1024 * 1024


def test_what_is_too_much_is_not_taken_and_room_is_told_once():
    """One alone is taken however large; room is told when half of it is free."""
    told = []
    hand = InHand(100, lambda: told.append(hand.bytes))

    assert [hand.takes(size) for size in (60, 40, 1)] == [True, True, False]
    hand.drop(40)
    assert told == []
    hand.drop(10)
    hand.drop(50)
    assert told == [50]
    assert hand.takes(1000)
    assert not hand.takes(1)


def test_a_bound_that_grows_is_room():
    """As that of the intake with what waits beside."""
    told = []
    hand = InHand(100, lambda: told.append(True))
    assert hand.takes(90)
    assert not hand.takes(90)

    hand.bound(180)

    assert told == [True]
    assert hand.takes(90)


def test_what_waits_for_long_keeps_no_others_out():
    """There is room when so much is free as half of the first bound, however much is in hand."""
    told = []
    hand = InHand(100, lambda: told.append(hand.bytes))
    for step in (1, 2, 3):
        assert hand.takes(100)
        assert not hand.takes(1)
        hand.bound(100 + 100 * step)  # what is in hand waits

    assert told == [100, 200, 300]


def test_small_deliveries_come_as_many_as_is_wanted():
    """And few of large ones, until these have been small for some time."""
    sizes = Sizes(32 * MIB)
    assert sizes.bounded(64) == 64
    sizes.saw(MIB // 2)
    assert sizes.bounded(64) == 64

    sizes.saw(4 * MIB)
    assert sizes.bounded(64) == 8
    assert sizes.bounded(1) == 1
    sizes.saw(100 * MIB)
    assert sizes.bounded(64) == 1
    for _ in range(100):
        sizes.saw(1000)
    assert sizes.bounded(64) == 64


def test_a_portion_has_one_at_least():
    """However large, and else as many as are within both bounds."""
    assert portion([9, 1], int, most=5, most_bytes=5) == [9]
    assert portion([2, 3, 1], int, most=5, most_bytes=5) == [2, 3]
    assert portion([1] * 9, int, most=5, most_bytes=50) == [1] * 5
    assert portion([], int, most=5, most_bytes=5) == []
