"""The measuring process's side of serve.py: starts a process, gives it turns, reads its answers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from preprocess.errors import InputError

HERE = Path(__file__).resolve().parent
PEERS = ("transformers", "lm_eval", "cappr")
IN_PEER_PYTHON = ("lm_eval", "cappr")


class Worker:
    """A process with one system. Leaving the context ends the process.

    Args:
        folder: Folder with workload.json.
        system: product, naive, reference, or one of PEERS.
        device: cpu or cuda.
        peer_python: The Python interpreter of systems that need their own environment.
        script: The file in this folder that `peer_python` runs; None: worker.py or peer.py, by the system.

    Raises:
        InputError: The interpreter lacks the package.
        RuntimeError: The process ended; the message contains its output.
    """

    def __init__(self, folder: Path, system: str, device: str, peer_python: str, script: str | None = None):
        self.system = system
        self.folder = folder
        self.turns: list[dict[str, Any]] = []
        python = peer_python if script or system in IN_PEER_PYTHON else sys.executable
        path = HERE / (script or ("peer.py" if system in PEERS else "worker.py"))
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [python, str(path), str(folder), system],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment(device, own=python == sys.executable),
            )
        self.facts: dict[str, Any] = {}

    @property
    def log(self) -> Path:
        return self.folder / f"{self.system}.log"

    def read(self) -> dict[str, Any]:
        """The next answer."""
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        log = self.log.read_text().strip()
        last = log.splitlines()[-1] if log else ""
        if last.startswith("ModuleNotFoundError"):
            raise InputError(f"{self.system}: {last}; exclude it with --systems, or set another --peer-python")
        raise RuntimeError(f"{self.system} ended:\n{log}")

    def turn(self, line: str = "") -> dict[str, Any]:
        """Run all requests, or those that `line` asks for, and return the answer."""
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        self.turns.append(self.read())
        return self.turns[-1]

    def finish(self) -> list[list[float]]:
        """The results of the last turn, one per request."""
        self.process.stdin.close()
        self.facts |= self.read()
        return json.loads((self.folder / f"{self.system}.json").read_text())

    def __enter__(self) -> "Worker":
        """Wait until the system is loaded and warm, because systems that load at the same time slow each other down."""
        try:
            self.facts |= self.read()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()


def environment(device: str, own: bool) -> dict[str, str]:
    """The environment variables of a process: threads, device, and no PYTHONPATH for the interpreters of peers.

    Args:
        own: Whether the process runs on this interpreter.
    """
    threads = str(torch.get_num_threads())
    variables = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
    if not own:
        variables.pop("PYTHONPATH", None)
    if device == "cpu":
        variables["CUDA_VISIBLE_DEVICES"] = ""
    return variables
