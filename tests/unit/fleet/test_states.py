"""How machines of a fleet stand: each of what was really said of one has its state and cause."""

from __future__ import annotations

import pytest

from dlmatrix.fleet.row import Row, folder_name
from dlmatrix.fleet.states import cause_of, cause_of_code, causes, states

#: Recorded from ssh, sudo and Ansible 2.19.
SAID = {
    "login-refused": "Failed to connect to the host via ssh: lab@198.18.0.12: Permission denied (publickey).",
    "host-key-changed": "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @ Host key verification failed.",
    "host-key-unknown": "No ED25519 host key is known for n1 and you have requested strict checking.\r\n"
    "Host key verification failed.",
    "name": "ssh: Could not resolve hostname gpu99: Name or service not known",
    "refused": "ssh: connect to host 198.18.0.15 port 22: Connection refused",
    "no-route": "ssh: connect to host 198.18.0.15 port 22: No route to host",
    "no-answer": "ssh: connect to host 198.18.0.11 port 22: Connection timed out",
    "password": "to use the 'ssh' connection type with passwords, you must install the sshpass program",
    "sudo": "Task failed: Missing sudo password",
    "no-python": "The module interpreter '/usr/bin/python3' was not found.",
    "no-interpreter": "env: '/opt/venv/bin/python': No such file or directory",
    "old-python": "Ansible requires Python 3.9 or newer on the target",
    "disk-full": "[Errno 28] No space left on device: '/home/lab/.cache/dlmatrix-fleet'",
    "read-only": "mkdir: cannot create directory: Read-only file system",
}


@pytest.mark.parametrize("cause", SAID)
def test_what_was_said_has_its_cause(cause: str) -> None:
    found = cause_of(SAID[cause])
    assert found
    assert found.id == cause


def test_each_cause_that_is_told_by_words_has_some_that_were_recorded() -> None:
    assert {cause.id for cause in causes().values() if cause.said} == SAID.keys()


def test_a_frozen_machine_takes_connections_and_sends_no_banner() -> None:
    found = cause_of("Connection timed out during banner exchange")
    assert found
    assert found.id == "no-answer"


def test_only_the_states_asked_for_come_into_question() -> None:
    assert cause_of("cp: No space left on device", "unreachable") is None


def test_what_befell_a_run_is_told_by_its_code_and_a_failure_is_not() -> None:
    assert {code: found.id for code in range(131) if (found := cause_of_code(code))} == {
        4: "no-engine",
        7: "no-index",
        8: "no-base",
        9: "disk-full",
        10: "busy",
    }


def test_every_state_that_is_not_good_says_what_to_type() -> None:
    for state in states().values():
        assert bool(state.next) == (state.name != "passed")
        row = Row(name="gpu01", state=state.name)
        assert "{" not in row.next_step("reports/fleet/R")
    for cause in causes().values():
        assert "{" not in Row(name="gpu01", state=cause.state, cause=cause.id).next_step("R")


def test_what_is_final_does_not_move_and_is_not_tried_again() -> None:
    for state in states().values():
        assert not (state.final and (state.moving or state.second))


def test_a_wrong_key_gains_nothing_by_a_second_pass_and_a_machine_that_is_off_may() -> None:
    off = Row(name="n1").at("unreachable", "no-answer")
    key = Row(name="n2").at("unreachable", "login-refused")
    assert (off.tried_again, key.tried_again) == (True, False)


def test_what_is_said_of_a_machine_is_one_line_that_no_terminal_obeys() -> None:
    row = Row(name="n1").at("unreachable", said="bad\x1b[2J\nworse" + "!" * 1000)
    assert row.said.startswith("bad [2J worse!")
    assert len(row.said) == 400


def test_a_machine_that_is_tried_anew_keeps_how_it_stood_and_which_it_is() -> None:
    row = Row(name="n1", machine="abc", attempts=1, figures={"gpus": []}).at("unreachable", "refused", said="refused")
    again = row.started_over()
    assert (again.state, again.said, again.figures, again.attempts, again.machine) == ("waiting", "", None, 1, "abc")
    assert again.started_over().before == ("unreachable: nothing listens for ssh there",)


@pytest.mark.parametrize(
    ("machine", "folder"),
    [("gpu-01.lab", "gpu-01.lab"), ("../x", "%2E.%2Fx"), (".", "%2E"), ("é", "%C3%A9"), ("a b", "a%20b")],
)
def test_a_machine_s_folder_is_inside_hosts(machine: str, folder: str) -> None:
    assert folder_name(machine) == folder


def test_long_names_stay_apart() -> None:
    assert len({folder_name("n" * 300 + end) for end in "ab"}) == 2
    assert len(folder_name("n" * 300)) < 255
