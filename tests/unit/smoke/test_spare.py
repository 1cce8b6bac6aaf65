"""A fork that waits for its work: what it has of its parent, and how it ends."""

import os
import signal
import sys

from smoke.spare import Spare


def write(path, text):
    with open(path, "w") as stream:
        stream.write(text)


def test_it_works_with_what_its_parent_had_and_not_with_what_came_later(tmp_path):
    known, target = ["imported"], str(tmp_path / "found")
    spare = Spare(lambda more: write(target, " ".join([*known, more, str(os.getpid())])))
    known.append("computed")
    assert spare.run("asked") == ""
    with open(target) as stream:
        *words, pid = stream.read().split()
    assert words == ["imported", "asked"]
    assert int(pid) != os.getpid()


def test_what_goes_wrong_in_it_is_told_in_a_line(capfd):
    def work():
        raise ValueError("no such weight\nand a whole stack")

    assert Spare(work).run() == "ValueError: no such weight"
    assert "Traceback" in capfd.readouterr().err


def test_a_signal_that_ends_it_is_named():
    assert Spare(lambda: os.kill(os.getpid(), signal.SIGKILL)).run() == "killed by SIGKILL"


def test_what_exits_by_itself_has_not_come_to_its_end():
    assert Spare(lambda: sys.exit("gave up")).run() == "SystemExit: gave up"


def test_its_output_is_that_of_its_parent(capfd):
    assert Spare(lambda: print("restored")).run() == ""
    assert capfd.readouterr().out == "restored\n"


def test_one_that_is_never_asked_ends_with_its_parent(tmp_path):
    """The middle process makes a spare, tells its id and dies; whoever reaps it here sees it go."""
    read, write_end = os.pipe()
    middle = os.fork()
    if middle == 0:
        spare = Spare(lambda: None)
        os.write(write_end, str(spare._child).encode())
        os._exit(0)
    os.close(write_end)
    os.waitpid(middle, 0)
    # The spare holds the pipe's end too: it is read to its end once both are gone.
    with os.fdopen(read) as stream:
        assert int(stream.read()) > 0
