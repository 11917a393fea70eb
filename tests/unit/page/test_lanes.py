"""Whose turn it is, and what those in line are told."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from conftest import until

from page import lanes as rules
from page.lanes import Lanes, Shared


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still at 1000 s."""
    monkeypatch.setattr(rules, "time", SimpleNamespace(monotonic=lambda: 1000.0))


def test_each_lane_is_a_line_in_the_order_of_arrival():
    lanes = Lanes()
    with lanes.place(3600) as long, lanes.place(10) as short, lanes.place(20) as second:
        assert (long.ahead, short.ahead, second.ahead) == (0, 0, 1)
        with lanes.place(7200) as later:
            assert later.ahead == 1
        with contextlib.suppress(RuntimeError), lanes.place(5) as gone:
            assert gone.ahead == 2
            raise RuntimeError
        assert lanes.short == [short, second]


def test_the_wait_is_what_those_ahead_still_need(clock):
    lanes = Lanes()
    lanes.pace = 0.1
    with lanes.place(100) as first, lanes.place(50) as second, lanes.place(10) as third:
        assert first.ahead == 0
        assert (second.wait, third.wait) == (pytest.approx(10), pytest.approx(15))
        first.began = 1000 - 4
        first.share = 0.8  # 4 s for four fifths: one more second
        assert second.wait == pytest.approx(1)


def test_the_pace_is_learnt_from_what_was_finished(clock):
    lanes = Lanes()
    with lanes.place(100) as place:
        assert place.ahead == 0
        place.began = 1000 - 50
        place.share = 1.0
    assert lanes.pace == pytest.approx(0.7 * 0.05 + 0.3 * 0.5)
    with lanes.place(100) as stopped:
        assert stopped.ahead == 0
    assert lanes.pace == pytest.approx(0.7 * 0.05 + 0.3 * 0.5)


def test_two_at_work_take_turns_on_the_model():
    """Whoever asks again stands behind the other, however short the pause between."""

    class Model:
        lookahead = 7

        def run(self, who):
            order.append(who)
            until(lambda: len(asked) > len(order) or len(order) == 40)  # the other is in line

    class Turns(ThreadPoolExecutor):
        def submit(self, *work):
            future = super().submit(*work)
            asked.append(work)
            return future

    order, asked = [], []
    model, both = Shared(Model(), Turns(1)), threading.Barrier(2)

    def work(who):
        both.wait()
        for _ in range(20):
            model.run(who)

    threads = [threading.Thread(target=work, args=[who]) for who in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert model.lookahead == 7
    assert "".join(order) in ("ab" * 20, "ba" * 20)
