"""Leases: processes that share the runs of a folder, and what becomes of the runs of dead ones."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from experiments.errors import UserError
from experiments.records.run_folder import process_start
from experiments.running import leases
from experiments.running.leases import Member, Watch, end_sharing, holder
from experiments.running.lock import joined, results_lock


def leave_process(results: Path, name: str, *held: str, count: int = 1, **facts: object) -> None:
    """Leave the file of a process that holds leases; on another machine unless `facts` say so."""
    content = {"machine": "another", "pid": 1, "began": 0.0, "count": count, "leases": held} | facts
    for folder in ("workers", "leases"):
        (results / folder).mkdir(parents=True, exist_ok=True)
    (results / "workers" / f"{name}.json").write_text(json.dumps(content))
    for lease in held:
        (results / "leases" / lease).write_text(name)


def here(pid: int, began: float) -> dict[str, object]:
    """Facts of a process on this machine."""
    return {"machine": leases.this_machine(), "pid": pid, "began": began}


def test_one_of_many_that_want_a_run_gets_it(tmp_path: Path):
    ready, got = threading.Barrier(8), []

    def want() -> None:
        with Member(tmp_path) as member:
            ready.wait()
            got.append(member.take("run"))
            ready.wait()  # nobody leaves before all have tried

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


def test_a_run_that_was_given_back_can_be_taken_by_another(tmp_path: Path):
    with Member(tmp_path) as one, Member(tmp_path) as other:
        assert one.take("run")
        assert not other.take("run")
        assert other.take("another-run")
        one.give_back("run")
        assert other.take("run")
        assert not one.take("run")
        assert holder(tmp_path, "run") == other.name


def test_the_runs_of_a_process_that_ended_can_be_taken_at_once(tmp_path: Path):
    with Member(tmp_path) as other:
        with Member(tmp_path) as one:
            assert one.take("run")
        assert other.take("run")


def test_the_runs_of_a_killed_process_of_this_machine_can_be_taken_at_once(tmp_path: Path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = process_start(process.pid)
    leave_process(tmp_path, "killed", "run.0", **here(process.pid, began))
    with Member(tmp_path) as member:
        assert not member.take("run")
        process.kill()  # and not waited for: a zombie is dead, too
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert member.take("run")
    process.communicate()


def test_a_later_process_with_the_same_number_is_not_the_killed_one(tmp_path: Path):
    leave_process(tmp_path, "killed", "run.0", **here(os.getpid(), 1.0))
    with Member(tmp_path) as member:
        assert member.take("run")


def test_a_process_on_another_machine_is_dead_after_its_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = 1000.0
    monkeypatch.setattr(leases.time, "monotonic", lambda: now)
    leave_process(tmp_path, "far", "run.0", count=1)
    with Member(tmp_path) as member:
        assert not member.take("run")
        now += leases.SILENCE - 1
        assert not member.take("run")
        leave_process(tmp_path, "far", "run.0", count=2)
        now += 2
        assert not member.take("run")  # its count has grown
        now += leases.SILENCE
        assert member.take("run")
        assert holder(tmp_path, "run") == member.name


def test_an_empty_lease_is_one_that_is_being_written_until_the_silence_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    now = 1000.0
    monkeypatch.setattr(leases.time, "monotonic", lambda: now)
    with Member(tmp_path) as member:
        (tmp_path / "leases" / "run.0").touch()
        assert not member.take("run")
        now += leases.SILENCE
        assert member.take("run")


def test_a_process_that_was_taken_for_dead_does_not_hold_its_run_any_more(tmp_path: Path):
    with Member(tmp_path) as slow:
        assert slow.take("run")
        (tmp_path / "leases" / "run.1").write_text("another")
        assert holder(tmp_path, "run") != slow.name


def test_a_run_has_ended_elsewhere_only_if_it_was_taken_since_and_is_held_no_longer(tmp_path: Path):
    with Member(tmp_path) as before:
        assert before.take("run")
        before.give_back("run")
    with Member(tmp_path) as one, Member(tmp_path) as other:
        assert not one.ended_elsewhere("run")  # it was taken before
        assert other.take("run")
        assert not one.ended_elsewhere("run")  # it is held
        other.give_back("run")
        assert one.ended_elsewhere("run")
        assert one.take("run")
        assert one.ended_elsewhere("run")


def test_what_dead_processes_left_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leases, "SILENCE", 0.05)
    leave_process(tmp_path, "far", "run.0")
    leave_process(tmp_path, "killed", "other.0", **here(os.getpid(), 1.0))
    assert end_sharing(tmp_path) == []
    assert not (tmp_path / "workers").exists()
    assert not (tmp_path / "leases").exists()


def test_a_process_on_another_machine_is_waited_for_until_its_count_grows(tmp_path: Path):
    leave_process(tmp_path, "far")
    grow = threading.Timer(0.5, leave_process, [tmp_path, "far"], {"count": 2})
    grow.start()
    assert Watch(tmp_path).known_to_live() == ["far"]
    grow.join()


def test_a_call_that_shares_no_runs_is_refused_while_others_share_them(tmp_path: Path):
    with joined(tmp_path, lambda _: None) as member:
        refused = pytest.raises(UserError, match=f"in use by `make work`, {member.name}")
        with refused, results_lock(tmp_path):
            pass
    with results_lock(tmp_path):
        assert not (tmp_path / "workers").exists()


def test_no_process_begins_to_share_runs_beside_a_call_that_does_not(tmp_path: Path):
    refused = pytest.raises(UserError, match="in use by another call")
    with results_lock(tmp_path), refused, joined(tmp_path, lambda _: None):
        pass
    assert not list(tmp_path.glob("workers/*"))
