"""A server that is asked to stop says so first."""

import os
import threading

from service.web.draining import MARK, draining_place, is_draining, stop_after


def test_the_first_signal_marks_and_the_second_stops_at_once() -> None:
    stopped = threading.Event()
    with draining_place() as place:
        assert os.environ[MARK] == str(place)
        handle = stop_after(3600.0, place, stopped.set)
        assert not is_draining()
        handle()
        assert is_draining()
        assert not stopped.is_set(), "requests are answered as ever"
        handle()
        assert stopped.is_set()
    assert MARK not in os.environ
    assert not is_draining()


def test_the_server_stops_by_itself_when_the_time_is_over() -> None:
    stopped = threading.Event()
    with draining_place() as place:
        stop_after(0.01, place, stopped.set)()
        assert stopped.wait(60)


def test_without_a_time_it_stops_at_once() -> None:
    stopped = threading.Event()
    with draining_place() as place:
        stop_after(0.0, place, stopped.set)()
        assert stopped.is_set()
        assert not is_draining()
