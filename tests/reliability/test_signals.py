"""SIGTERM, SIGHUP, SIGUSR1 and Ctrl-C: one line, exit code 128 + n, and a checkpoint."""

from __future__ import annotations

import importlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning_utilities.core.rank_zero import rank_zero_only

from bpkd import evaluate, train
from bpkd.cli import main
from bpkd.runs.recorder import Recorder
from tests.reliability.killing import differing, ended, new_place, start, training, whole_run

SIGNALS = ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGINT"]


def command(*arguments: str, before: Callable[[], None] = lambda: None) -> Callable[[], None]:
    """The work of a command line."""

    def work() -> None:
        sys.argv = ["bpkd", *arguments]
        before()
        main()

    return work


def signalled_in(target: str, number: int) -> Callable[[], None]:
    """When that function is called, the signal comes."""

    def hook() -> None:
        module, _, name = target.rpartition(".")
        owner = importlib.import_module(module)

        def call(*_: object, **__: object) -> None:
            os.kill(os.getpid(), number)
            time.sleep(5)

        setattr(owner, name, call)

    return hook


def at_iteration(iteration: int, number: int, hook: str = "on_train_batch_end") -> Callable:
    def install() -> None:
        before = getattr(Recorder, hook)

        def call(self: Recorder, trainer, *rest) -> None:
            if trainer.global_step == iteration:
                os.kill(os.getpid(), number)
            before(self, trainer, *rest)

        setattr(Recorder, hook, call)

    return install


@pytest.mark.parametrize("name", SIGNALS)
def test_training_stops_with_a_checkpoint_and_goes_on(tmp_path: Path, name: str) -> None:
    whole, _ = whole_run(tmp_path)
    number = getattr(signal, name)
    hook = {1: "on_train_batch_end", 3: "on_validation_batch_end"}
    for iteration, where in hook.items():
        place = new_place(tmp_path, where)
        arguments = ("train", "r.yaml", "run=run", "--quiet")
        work = command(*arguments, before=at_iteration(iteration, number, where))
        assert ended(start(work, place)) == 128 + number
        said = [line for line in (place / "out.txt").read_text().splitlines() if "stopped" in line]
        word = "Ctrl-C" if name == "SIGINT" else name
        assert len(said) == 1 and f"stopped by {word} at iteration {iteration}; " in said[0]
        saved = torch.load(place / "run/last.ckpt", weights_only=True)
        assert saved["global_step"] == iteration
        assert ended(start(training(resume=True), place)) == 0
        assert differing(place / "run", whole) == ["environment.json"]  # another command


@pytest.mark.parametrize("hook", ["on_train_batch_end", "on_validation_batch_end"])
def test_a_scheduler_signals_the_workers_too(tmp_path: Path, hook: str) -> None:
    """SLURM, Kubernetes and terminals signal every process of a group."""
    whole, _ = whole_run(tmp_path)
    place = new_place(tmp_path, "group")

    def at_three() -> None:
        os.setsid()
        original = getattr(Recorder, hook)

        def call(self: Recorder, trainer, *rest) -> None:
            if trainer.global_step == 3 and not self.stop:
                # Of another process: PyTorch's workers look who sends it.
                sender = f"import os; os.killpg({os.getpgid(0)}, {signal.SIGTERM:d})"
                subprocess.run([sys.executable, "-c", sender], check=True, start_new_session=True)
                time.sleep(0.5)  # time for the workers to end, if they do
            original(self, trainer, *rest)

        setattr(Recorder, hook, call)

    work = command("train", "r.yaml", "run=run", "--quiet", "workers=1", before=at_three)
    assert ended(start(work, place)) == 143
    said = (place / "out.txt").read_text()
    assert "stopped by SIGTERM at iteration 3; " in said and "Traceback" not in said
    assert ended(start(training("workers=1", resume=True), place)) == 0
    assert differing(place / "run", whole) == ["environment.json", "recipe.yaml"]


def test_a_signal_in_the_last_iteration(tmp_path: Path) -> None:
    whole, _ = whole_run(tmp_path)
    place = new_place(tmp_path, "last")
    work = command("train", "r.yaml", "run=run", before=at_iteration(6, signal.SIGTERM))
    assert ended(start(work, place)) == 143
    assert ended(start(training(resume=True), place)) == 0
    assert differing(place / "run", whole) == ["environment.json"]


COMMANDS = {
    "train": (["train", "r.yaml", "run=other"], "bpkd.training.run.build"),
    "evaluate": (["evaluate", "run"], "bpkd.inference.evaluation.measure"),
    "predict": (["predict", "run", "a.png"], "bpkd.inference.prediction.read_image"),
    "compare": (["compare", "run"], "bpkd.report.compare.load"),
    "data check": (["data", "check", "r.yaml"], "bpkd.datasets.checking.whole.check_all"),
    "model": (["model", "PSPNet"], "bpkd.report.model.summarise"),
    "recipe": (["recipe", "r.yaml"], "bpkd.recipe.loading.dump"),
}


def test_every_command_ends_by_one_line(tmp_path: Path) -> None:
    whole_run(tmp_path)
    place = tmp_path / "whole"
    (place / "a.png").write_bytes(b"")
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGINT):
        for name, (arguments, target) in COMMANDS.items():
            (place / "out.txt").unlink()
            work = command(*arguments, before=signalled_in(target, number))
            assert ended(start(work, place)) == 128 + number, name
            said = (place / "out.txt").read_text()
            assert re.fullmatch(r"bpkd: stopped by (SIG\w+|Ctrl-C)\n", said), (name, said)


def test_what_nohup_ignores_stays_ignored(tmp_path: Path) -> None:
    place = new_place(tmp_path, "nohup")

    def before() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        at_iteration(1, signal.SIGHUP)()

    work = command("train", "r.yaml", "run=run", "--quiet", before=before)
    assert ended(start(work, place)) == 0


def test_training_in_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = new_place(tmp_path, "thread")
    monkeypatch.chdir(place)
    found: list[float] = []

    def work() -> None:
        run = train("r.yaml", "run=run", progress=False)
        found.append(evaluate(run, split="val")["mIoU"])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 1


SRUN = """#!/bin/bash
# A scheduler's: starts the task and, the first time, warns it that its time is over.
while [ "$1" != bpkd ]; do shift; done
shift
{python} -m bpkd "$@" &
task=$!
if [ ! -e warned ]; then
    until [ -s run/training.csv ] || ! kill -0 $task 2>/dev/null; do sleep 0.05; done
    touch warned
    kill -USR1 $task
fi
wait $task
"""


@pytest.mark.slow
def test_the_slurm_script_requeues_itself_and_goes_on(tmp_path: Path) -> None:
    page = Path(__file__).parents[2].joinpath("docs/scale.md").read_text()
    block = re.search(r"^    #!/bin/bash\n(?:    .*\n)+", page, re.MULTILINE)
    assert block is not None
    script = "\n".join(line[4:] for line in block[0].splitlines()) + "\n"
    assert "#SBATCH --signal=USR1@" in script
    task = re.search(r"bpkd train (.*) --resume --quiet", script)
    assert task is not None
    changes = ("max_iters=150", "evaluation.every=150", "checkpoint_every=1000")
    script = script.replace(task[1], "r.yaml run=run " + " ".join(changes))
    place = new_place(tmp_path, "job")
    whole = new_place(tmp_path, "whole")
    assert ended(start(training(*changes), whole)) == 0

    tools = tmp_path / "bin"
    tools.mkdir()
    scontrol = '#!/bin/bash\necho "$@" >> requeued\n'
    for name, text in (("srun", SRUN.format(python=sys.executable)), ("scontrol", scontrol)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    (place / "job.sh").write_text(script)
    environment = os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "SLURM_JOB_ID": "77",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
    }

    def job() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "job.sh"], cwd=place, env=environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip

    first = job()
    assert first.returncode == 138, first.stderr
    assert (place / "requeued").read_text() == "requeue 77\n"
    second = job()
    assert second.returncode == 0, second.stderr
    assert (place / "requeued").read_text() == "requeue 77\n"  # done: not again
    # The command is another than the one that was not interrupted.
    assert differing(place / "run", whole / "run") == ["environment.json"]


def pair(place: Path, run: str, *options: str, before: Callable[[int], None] = int) -> list[int]:
    """Train by two processes in a folder; their exit codes.

    Args:
        place: the folder; the processes' output is in ``out.txt``.
        run: the run's folder.
        options: of the command.
        before: called with the process's number, before it begins.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])

    def prepared(rank: int) -> Callable[[], None]:
        def prepare() -> None:
            # What Lightning tells the processes that it starts itself.
            os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": "2"}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            rank_zero_only.rank = rank
            before(rank)

        return prepare

    arguments = ("train", "r.yaml", f"run={run}", "devices=2", "--quiet", *options)
    return [
        ended(process)
        for process in [start(command(*arguments, before=prepared(r)), place) for r in (0, 1)]
    ]


#: Which of two processes get a signal, when.
SEVERAL = {
    "first": ((0,), "on_train_batch_end", "SIGTERM"),
    "second": ((1,), "on_train_batch_end", "SIGUSR1"),
    "both": ((0, 1), "on_train_batch_end", "SIGTERM"),
    "both in a validation": ((0, 1), "on_validation_batch_end", "SIGTERM"),
    "second in a validation": ((1,), "on_validation_batch_end", "SIGHUP"),
}


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes that nothing happened to."""
    place = new_place(tmp_path_factory.mktemp("two"), "whole")
    assert pair(place, "run") == [0, 0]
    return place / "run"


@pytest.mark.parametrize(
    "which",
    [
        "first",
        "second in a validation",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("second", "both", "both in a validation")
        ),
    ],
)
def test_two_processes_stop_at_one_iteration(tmp_path: Path, by_two: Path, which: str) -> None:
    ranks, hook, name = SEVERAL[which]
    place, number = new_place(tmp_path, "two"), getattr(signal, name)

    def before(rank: int) -> None:
        if rank in ranks:
            at_iteration(3, number, hook)()

    assert pair(place, "run", before=before) == [128 + number, 0]
    said = (place / "out.txt").read_text()
    line = f"stopped by {name} at iteration 3; the checkpoint is written: go on with --resume"
    assert said.count("bpkd: ") == 1 and f"bpkd: {line}" in said and "Traceback" not in said
    assert torch.load(place / "run/last.ckpt", weights_only=True)["global_step"] == 3
    assert pair(place, "run", "--resume") == [0, 0]
    assert set(differing(place / "run", by_two)) <= {"recipe.yaml", "environment.json"}
