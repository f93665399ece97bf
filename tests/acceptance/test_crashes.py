"""What was accepted is there, once, however often the process is killed."""

import contextlib
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest

from support.processes import Program, all_of, free_port
from support.server import Person
from support.waiting import eventually

pytestmark = pytest.mark.acceptance

KILLS = 5


class Load:
    """Submits tasks, batches and jobs as fast as it can, and remembers what was accepted."""

    def __init__(self, person: Person, performer: int, address: str, round_number: int) -> None:
        self.tasks: list[int] = []
        self.jobs: list[int] = []
        self.keyed: list[tuple[str, dict[str, Any]]] = []
        self._stop = threading.Event()
        self._headers = {"authorization": f"Bearer {person.token}"}
        self._address = address
        self._performer = performer
        self._round = round_number
        self._clients: dict[str, httpx.Client] = {}
        self._threads = [
            threading.Thread(target=work) for work in (self._single, self._single, self._batch, self._job, self._keyed)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _post(self, path: str, body: object, **headers: str) -> Any:
        answer = self._clients[threading.current_thread().name].post(path, json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def _repeat(self, work: Any) -> None:
        client = self._clients[threading.current_thread().name] = httpx.Client(
            base_url=self._address, headers=self._headers, timeout=10
        )
        with client, contextlib.suppress(httpx.TransportError):
            for number in itertools.count():
                if self._stop.is_set():
                    break
                work(number)

    def _single(self) -> None:
        body = {"title": "single", "performer_id": self._performer}
        self._repeat(lambda _: self.tasks.append(self._post("/tasks", body)["id"]))

    def _batch(self) -> None:
        body = [{"title": "batch", "performer_id": self._performer}] * 100
        self._repeat(lambda _: self.tasks.extend(self._post("/tasks/batch", body)["ids"]))

    def _job(self) -> None:
        self._repeat(lambda n: self.jobs.append(self._post("/tasks", {"payload": f"job {n}"})["id"]))

    def _keyed(self) -> None:
        def work(number: int) -> None:
            key, body = f"{self._round}-{number}", {"title": f"keyed {self._round}-{number}"}
            self.keyed.append((key, body))  # before the answer: what is asked again is what had none
            self.tasks.append(self._post("/tasks", body, **{"idempotency-key": key})["id"])

        self._repeat(work)


def test_five_kills_under_load_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    random = Random(20261120)
    with Program(tmp_path / "data") as program:
        ann, bob = program.person("ann"), program.person("bob")
        tasks: list[int] = []
        jobs: list[int] = []
        keyed: list[tuple[str, dict[str, Any]]] = []
        for number in range(KILLS):
            load = Load(ann, bob.id, program.address, number)
            load.start()
            eventually(lambda: len(load.tasks) > 100 and len(load.jobs) > 10)  # noqa: B023 - awaited within the turn
            time.sleep(random.random())
            program.kill()
            load.stop()
            program.start()
            tasks += load.tasks
            jobs += load.jobs
            keyed += load.keyed
            last = (load.tasks or tasks)[-1]
            assert ann.http.get(f"/tasks/{last}").status_code == 200, "what was accepted is readable at once"
            for key, body in load.keyed[-3:]:
                assert ann.http.post("/tasks", json=body, headers={"idempotency-key": key}).status_code == 202
        for job in jobs:
            result = ann.http.get(f"/tasks/{job}/result", params={"wait": 30})
            assert result.status_code == 200, result.text
        stored = all_of(ann.http, "/tasks", sort="created_at")
        ids = Counter(int(str(task["id"])) for task in stored)
        assert set(ids.values()) == {1}
        assert set(tasks) | set(jobs) <= ids.keys()
        titles = Counter(task["title"] for task in stored if str(task["title"]).startswith("keyed"))
        assert set(titles.values()) == {1}, "a key asked twice makes one task"
        _check_jobs(ann, jobs)
        _check_inbox(bob, [task for task in stored if task["performer_id"] == bob.id])
        assert program.stop() == 0


def _check_jobs(ann: Person, jobs: list[int]) -> None:
    for job in jobs[:: max(1, len(jobs) // 100)]:
        history = all_of(ann.http, f"/tasks/{job}/history")
        kinds = Counter(str(event["type"]) for event in history)
        assert (kinds["task.created"], kinds["task.completed"], kinds["task.failed"]) == (1, 1, 0)


def _check_inbox(bob: Person, assigned: list[dict[str, object]]) -> None:
    with bob.listen(after=0) as socket:
        told = [json.loads(socket.recv(timeout=30)) for _ in assigned]
    assert Counter(one["task_id"] for one in told) == Counter(task["id"] for task in assigned)
    assert [one["id"] for one in told] == sorted({one["id"] for one in told})
    assert bob.http.get("/notifications").json()["unread_count"] == len(told)


def test_a_job_that_kills_its_process_is_failed_and_its_neighbours_are_done(tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os\nimport time\nfrom tasktide import Context, handler\n\n\n"
        '@handler("deadly")\ndef deadly(payload: object, context: Context) -> None:\n'
        "    time.sleep(0.3)  # whoever submitted it has been answered by then\n    os._exit(1)\n"
    )
    with Program(tmp_path / "data", "up", "--app", "deadly") as program:
        ann = program.person("ann")
        neighbour = ann.submit(handler="sleep", payload={"seconds": 1})["id"]
        deadly = ann.submit(handler="deadly", title="x")["id"]
        deaths = 0
        while deaths < 5:
            with contextlib.suppress(httpx.TransportError):
                if ann.finished(deadly)["status"] == "failed":
                    break
            program.wait(30)
            deaths += 1
            program.start(may_die=True)
            ann.move(program.address)
        failed = ann.task(deadly)
        assert (failed["status"], failed["attempts"], deaths) == ("failed", 3, 3)
        assert failed["error"] == "The worker died while running it."
        assert ann.finished(neighbour)["status"] == "done"
        assert program.stop() == 0


def test_what_a_handler_forked_keeps_neither_the_port_nor_the_folder(tmp_path: Path) -> None:
    (tmp_path / "forking.py").write_text(
        "import os\nfrom concurrent.futures import ProcessPoolExecutor\nfrom tasktide import Context, handler\n\n"
        "POOL = ProcessPoolExecutor(1)\n\n\n"
        '@handler("forking")\ndef forking(payload: object, context: Context) -> int:\n'
        "    return POOL.submit(os.getpid).result()\n"
    )
    port = str(free_port())
    with Program(tmp_path / "data", "up", "--app", "forking", PORT=port) as program:
        ann = program.person("ann")
        child: Any = ann.finished(ann.submit(handler="forking", title="x")["id"])["result"]
        try:
            program.kill()
            os.kill(child, 0)
            program.start()
            assert program.address.endswith(port)
            assert ann.http.get("/auth/me").status_code == 200
        finally:
            os.kill(child, signal.SIGKILL)
        again: Any = ann.finished(ann.submit(handler="forking", title="x")["id"])["result"]
        assert program.stop() == 0
        with contextlib.suppress(ProcessLookupError):
            os.kill(again, signal.SIGKILL)
