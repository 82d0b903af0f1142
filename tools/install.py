"""Make the environment that the Makefile works in: `python tools/install.py .venv`. Standard library only.

One installation at a time (a lock), and an environment counts as whole only when its last line, the stamp, is written:
an interrupted installation is started over, a finished one is brought up to date when settings.ini has changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUTS = ["settings.ini", "setup.py", "pyproject.toml", "tools/install.py"]
PAIR = "import torch, torchvision; torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), .5)"
BIG = 20  # MB; larger downloads are announced, so that a long stage is seen to move


def stamp_text() -> str:
    """What the environment was made from: this folder (its scripts name it) and the files that say what to install."""
    digest = hashlib.sha256(b"".join((ROOT / f).read_bytes() for f in INPUTS)).hexdigest()
    return f"{ROOT}\n{digest}\n"


def works(python: Path) -> bool:
    """Whether the environment's Python starts (it does not when the Python that it was made from has gone)."""
    return python.exists() and subprocess.run([python, "-c", "import pip"], capture_output=True).returncode == 0


def is_half_made(venv: Path) -> bool:
    """Whether `venv` has to be made anew: interrupted, broken, or made in another folder."""
    stamp = venv / ".stamp"
    moved = stamp.exists() and stamp.read_text().splitlines()[0] != str(ROOT)
    return (venv / ".installing").exists() or moved or not works(venv / "bin/python")


def announce(line: str) -> None:
    """Print a line of pip's output if it tells of a large download."""
    words = line.split()
    if words[:1] == ["Downloading"] and words[-1:] == ["MB)"] and float(words[-2].lstrip("(")) >= BIG:
        print(f"        {words[1].split('-cp')[0].split('-py')[0]} {words[-2].lstrip('(')} MB", flush=True)


def logged(command: list[str | Path], log: Path) -> None:
    """Run `command` with its output in `log`; at a failure show the end of it and stop."""
    with log.open("a") as file, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        for line in run.stdout or []:
            file.write(line)
            announce(line)
    if run.returncode:
        print("".join(log.read_text().splitlines(keepends=True)[-25:]))
        sys.exit(f"Installation failed; the whole log is in {log}. Run the same command again when the cause is removed.")


def stage(n: int, title: str, work: Callable[[], object]) -> None:
    """Do one stage of the installation, with a line that says what and how long it took."""
    print(f"  {n}/4 {title} ...", flush=True)
    start = time.time()
    work()
    print(f"      done in {time.time() - start:.0f} s", flush=True)


def requirements() -> list[str]:
    """The torch pair as settings.ini asks for it; the rest comes with the package itself."""
    ini = ConfigParser(interpolation=None)
    ini.read(ROOT / "settings.ini", encoding="utf-8")
    return [r for r in ini["DEFAULT"]["requirements"].split() if r.startswith("torch")]


def install(venv: Path) -> None:
    """Make or complete `venv`: first the pair that is large, then the package with its tools, then a look at the pair."""
    if is_half_made(venv):
        shutil.rmtree(venv, ignore_errors=True)
        stage(
            1,
            f"environment in {venv.name} with Python {sys.version.split()[0]}",
            lambda: subprocess.run([sys.executable, "-m", "venv", venv], check=True),
        )
    (venv / ".stamp").unlink(missing_ok=True)
    (venv / ".installing").touch()
    log, python = venv / "install.log", venv / "bin/python"
    pip: list[str | Path] = [python, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]
    stage(2, "torch and torchvision, 5.5 GB when unpacked: minutes", lambda: logged([*pip, *requirements()], log))
    stage(3, "the package, its dependencies and the notebook tools", lambda: logged([*pip, "-e", f"{ROOT}[dev]"], log))
    stage(4, "check that torch and torchvision fit together", lambda: logged([python, "-c", PAIR], log))
    (venv / ".installing").unlink()
    (venv / ".stamp").write_text(stamp_text())


def main(venv: Path) -> None:
    """Install unless all is there; wait for another installation of the same environment to end."""
    with Path(f"{venv}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = venv / ".stamp"
        if stamp.exists() and stamp.read_text() == stamp_text() and works(venv / "bin/python"):
            os.utime(stamp)
        else:
            install(venv)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]).absolute())
    except KeyboardInterrupt:
        sys.exit("Interrupted; the same command starts the installation again.")
