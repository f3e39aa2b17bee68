"""Runs docker/Dockerfile without a container engine: its steps as they are written, in folders instead of layers.

    debootstrap --variant=minbase bookworm BASE      once; needs root
    .venv/bin/python docker/try_without_engine.py BASE WORK

WORK gets a folder per stage. Then the image's last stage is started as an engine would start it with
docker/compose.yaml: its root read-only, one tmpfs, the user of the Dockerfile without any capability and unable to gain
one, secrets as files. API, worker and scheduler of it then carry deliveries to their end around servers of ours, and a
judge looks at the result (bench/truth.py).

What this cannot try: the engine itself, its layers, cache and seccomp profile, cgroup limits, the networks and the
other images of compose.yaml, and another base image than Debian 12 as debootstrap makes it.
"""

import argparse
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT))

from bench import truth
from bench.running import hand_in, requests, running
from service.embedded.privileges import tied
from tests.servers_support import object_store

DELIVERIES = 30
PATIENCE = 120.0
SECRETS = (
    "DATABASE_URL",
    "REDIS_URL",
    "ZENDING_SMTP_URL",
    "ZENDING_OIDC_CLIENT_SECRET",
    "ZENDING_STORAGE_ACCESS_KEY",
    "ZENDING_STORAGE_SECRET_KEY",
)
ROLES = ("api", "worker", "scheduler")
DEVICES = ("null", "zero", "random", "urandom")


@dataclass
class Stage:
    """One stage of the Dockerfile: its folder, and what its instructions said about running it."""

    folder: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"}
    )
    user: str = "0:0"
    workdir: str = "/"
    health: list[str] = field(default_factory=list)
    entrypoint: list[str] = field(default_factory=list)


def instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    """Each instruction with its arguments, on one line."""
    kept = [line for line in dockerfile.read_text("utf-8").splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(kept).replace("\\\n", " ").splitlines():
        word, _, rest = line.strip().partition(" ")
        if word:
            yield word.upper(), rest.strip()


def build(base: Path, work: Path, *, resume: bool, binds: Sequence[Path], more: Mapping[str, str]) -> Stage:
    """Do what the Dockerfile says; its last stage."""
    stages: dict[str, Stage] = {}
    stage = Stage(base)
    counter = work / "steps-done"
    done = int(counter.read_text()) if resume else 0
    for number, (word, rest) in enumerate(instructions(CHECKOUT / "docker" / "Dockerfile")):
        if word == "FROM":
            name = rest.split()[-1]
            stage = stages[name] = Stage(work / name)
        else:
            describe(stage, word, rest)
        if number >= done:
            print(f"{word} {rest}"[:110], flush=True)
            change(stage, stages, word, rest, base=base, binds=binds, more=more)
            counter.write_text(str(number + 1))
    return stage


def change(
    stage: Stage,
    stages: Mapping[str, Stage],
    word: str,
    rest: str,
    *,
    base: Path,
    binds: Sequence[Path],
    more: Mapping[str, str],
) -> None:
    """Do what an instruction changes in the stage's folder."""
    if word == "FROM":
        shutil.rmtree(stage.folder, ignore_errors=True)
        subprocess.run(["cp", "-a", "--reflink=auto", base, stage.folder], check=True)
    elif word == "COPY":
        copy(stage, stages, shlex.split(rest))
    elif word == "RUN":
        run_step(stage, rest, binds=binds, more=more)
    elif word == "WORKDIR":
        (stage.folder / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)


def describe(stage: Stage, word: str, rest: str) -> None:
    """Keep what an instruction says about running the stage."""
    if word == "ENV":
        stage.environment |= dict(pair.split("=", 1) for pair in shlex.split(rest))
    elif word == "USER":
        stage.user = rest
    elif word == "WORKDIR":
        stage.workdir = rest
    elif word == "HEALTHCHECK":
        stage.health = json.loads(rest[rest.index("CMD") + 3 :])
    elif word == "ENTRYPOINT":
        stage.entrypoint = json.loads(rest)
    elif word not in {"RUN", "COPY", "ARG", "LABEL", "EXPOSE", "STOPSIGNAL", "CMD"}:
        raise SystemExit(f"this program does not know the instruction {word}")


def copy(stage: Stage, stages: Mapping[str, Stage], words: list[str]) -> None:
    """COPY, of one source, from the checkout's committed files or from another stage."""
    source_root: Path | None = None
    if words[0].startswith("--from="):
        source_root = stages[words.pop(0).removeprefix("--from=")].folder
    source, target = words
    there = stage.folder / target.lstrip("/")
    there.parent.mkdir(parents=True, exist_ok=True)
    if source_root is not None:
        subprocess.run(["cp", "-a", source_root / source.lstrip("/"), there], check=True)
        return
    # What is not committed is not in the context either (.dockerignore leaves out the rest).
    listing = subprocess.run(["git", "ls-files", "-z", source], cwd=CHECKOUT, capture_output=True, check=True).stdout
    for name in filter(None, listing.decode().split("\0")):
        to = there / Path(name).relative_to(source) if name != source else there
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, to)


def run_step(stage: Stage, command: str, *, binds: Sequence[Path], more: Mapping[str, str]) -> None:
    """RUN: in the stage's folder, with the network."""
    lines = mounts(stage.folder, writable=True)
    for each in binds:
        target = stage.folder / str(each).lstrip("/")
        make = f"mkdir -p {target}" if each.is_dir() else f"touch {target}"
        lines += f"mkdir -p {target.parent}; {make}; mount --bind {each} {target}\n"
    lines += f"exec /usr/sbin/chroot {stage.folder} sh -c {shlex.quote(f'cd {stage.workdir} && {command}')}\n"
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "sh", "-ec", lines],
        env={**stage.environment, **more},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"the step ended with status {done.returncode}")


def mounts(folder: Path, *, writable: bool) -> str:
    """Lines for a shell in a mount namespace of its own: what an engine puts into a container."""
    lines = ["mount --make-rprivate /", f"mount --bind {folder} {folder}", f"mkdir -p {folder}/proc {folder}/dev"]
    lines.append(f"mount -t proc proc {folder}/proc")
    lines.append(f"mount -t tmpfs -o mode=755 dev {folder}/dev")
    lines += [f"touch {folder}/dev/{each}; mount --bind /dev/{each} {folder}/dev/{each}" for each in DEVICES]
    lines.append(
        f"mkdir {folder}/dev/shm; mount -t tmpfs -o size=64m,mode=1777,noexec,nosuid,nodev shm {folder}/dev/shm"
    )
    lines.append(f"touch {folder}/etc/resolv.conf; mount --bind /etc/resolv.conf {folder}/etc/resolv.conf")
    if not writable:
        lines.append(f"mount -t tmpfs -o size=1g,mode=1777,noexec,nosuid,nodev tmp {folder}/tmp")
        lines.append(f"mount -o remount,bind,ro {folder}")
    return "\n".join(lines) + "\n"


class Container:
    """One role of the image, started as compose.yaml says."""

    def __init__(
        self, image: Stage, role: str, volumes: Mapping[str, tuple[Path, bool]], more: Mapping[str, str]
    ) -> None:
        user, group = image.user.split(":")
        lines = "".join(
            f"mkdir -p {image.folder}{target}; mount --bind {source} {image.folder}{target}\n"
            + ("" if writable else f"mount -o remount,bind,ro {image.folder}{target}\n")
            for target, (source, writable) in volumes.items()
        )
        before, read_only = mounts(image.folder, writable=False).rsplit("mount -o remount", 1)
        become = (
            f"setpriv --reuid={user} --regid={group} --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs"
        )
        inside = f'cd {image.workdir} && exec {become} -- "$@"'
        enter = f'exec /usr/sbin/chroot {image.folder} sh -c {shlex.quote(inside)} sh "$@"'
        script = f"{before}{lines}mount -o remount{read_only}{enter}\n"
        self.name, self.environment = role, {**image.environment, **more}
        self._enter = ["nsenter", "--mount", "--pid", "--target"]
        self._folder, self._become, self._health = image.folder, become, image.health
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script, "sh"]
        # However this program ends, its containers end with it.
        self.process = subprocess.Popen(
            [*tied(signal.SIGTERM), *command, *image.entrypoint, role], env=self.environment
        )

    @property
    def inner(self) -> int:
        """The number of its first process, as we see it from outside."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """A command inside, as its user: what ``docker exec`` does."""
        inside = f'exec {self._become} -- "$@"'
        enter = [
            *self._enter,
            str(self.inner),
            "/usr/sbin/chroot",
            str(self._folder),
            "sh",
            "-c",
            inside,
            "sh",
            *command,
        ]
        return subprocess.run(enter, env=self.environment, capture_output=True, text=True, check=False)

    def is_healthy(self) -> bool:
        """What its HEALTHCHECK says."""
        if self.process.poll() is not None:
            raise SystemExit(f"{self.name} ended with status {self.process.returncode}")
        if not Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().strip():
            return False
        return self.run(*self._health).returncode == 0

    def stop(self) -> int:
        """SIGTERM to its first process, and its status."""
        os.kill(self.inner, signal.SIGTERM)
        return self.process.wait(60)

    def end(self) -> None:
        """End it by force, if it still runs."""
        self.process.kill()
        self.process.wait()


def look_inside(container: Container, secrets: Sequence[str]) -> list[str]:
    """What is wrong with how it runs; nothing is as it should be."""
    wrong = []
    processes = container.run("sh", "-c", "cat /proc/[0-9]*/status").stdout
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        values = {line.split()[1] for line in processes.splitlines() if line.startswith(f"{name}:")}
        if values != {"0" * 16}:
            wrong.append(f"{container.name}: {name} is {values}")
    for name, wanted in (("NoNewPrivs", "1"), ("Uid", "10001")):
        values = {line.split()[1] for line in processes.splitlines() if line.startswith(f"{name}:")}
        if values != {wanted}:
            wrong.append(f"{container.name}: {name} is {values}")
    shown = container.run(
        "sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'"
    ).stdout
    wrong += [
        f"{container.name}: a secret stands in a command line or an environment" for each in secrets if each in shown
    ]
    for place in ("/app/x", "/x", "/opt/zending/x", "/keys/x", "/etc/x"):
        if container.run("touch", place).returncode == 0:
            wrong.append(f"{container.name}: {place} can be written")
    if container.run("touch", "/tmp/x").returncode:
        wrong.append(f"{container.name}: /tmp can't be written")
    return wrong


def try_image(image: Stage, work: Path) -> list[str]:
    """Run the three roles around servers of ours; what is wrong."""
    wrong: list[str] = []
    with ExitStack() as closing:
        home = work / "home"
        shutil.rmtree(home, ignore_errors=True)
        store = closing.enter_context(object_store("127.0.0.1", work / "logs"))
        settings: dict[str, Any] = {**store, "ZENDING_PRINT_CUTOFF_SECONDS": "4"}
        target = closing.enter_context(running(home, here=True, **settings))
        environment, volumes, secrets = settings_in_files(target.stack.environment, home, work)
        containers = []
        for role in ROLES:
            started = Container(image, role, volumes, environment)
            closing.callback(started.end)
            containers.append(started)
            wait_until(started.is_healthy, f"{role} to be healthy")
            wrong += look_inside(started, secrets)
            print(f"{role}: healthy", flush=True)
        wanted = requests(target, DELIVERIES)
        answers = hand_in(target, wanted)
        seconds = truth.wait_for_end(target, len(answers), seconds=PATIENCE)
        wrong += truth.judge(target, answers).faults
        for each in containers:
            status = each.stop()
            if status:
                wrong.append(f"{each.name}: ended with status {status} when it was asked to stop")
        print(f"{len(answers)} deliveries at their end {seconds:.1f} s after the last was handed in", flush=True)
    return wrong


def settings_in_files(
    environment: Mapping[str, str], home: Path, work: Path
) -> tuple[dict[str, str], dict[str, tuple[Path, bool]], list[str]]:
    """The stack's settings as compose.yaml has them: secrets in files, folders under the names they have inside."""
    secrets, keys = work / "secrets", work / "keys"
    for folder in (secrets, keys):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(home / "keys", keys)
    shutil.copyfile(environment["ZENDING_TRUST_ANCHOR"], keys / "tsa-anchor.pem")
    secrets.mkdir()
    made = {name: value for name, value in environment.items() if name.startswith("ZENDING_")} | {
        "STORAGE_URL": environment["STORAGE_URL"]
    }
    for name in SECRETS:
        made.pop(name, None)
        (secrets / name.lower()).write_text(environment[name] + "\n")
        made[f"{name}_FILE"] = f"/run/secrets/{name.lower()}"
    made |= {
        "ZENDING_KEYS_FOLDER": "/keys",
        "ZENDING_TRUST_ANCHOR": "/keys/tsa-anchor.pem",
        "ZENDING_PRINT_FOLDER": "/print",
        "ZENDING_HOME": "/tmp",
        "ZENDING_HOST": "127.0.0.1",
    }
    for folder in (secrets, keys, home / "print"):
        for each in (folder, *folder.rglob("*")):
            os.chown(each, 10001, 10001)
    home.chmod(0o711)
    volumes = {
        "/keys": (keys, False),
        "/keys/keyring": (keys / "keyring", True),
        "/print": (home / "print", True),
        "/run/secrets": (secrets, False),
    }
    return made, volumes, [environment["DATABASE_URL"], environment["REDIS_URL"]]


def wait_until(condition: Any, what: str) -> None:
    """Wait for something that must come."""
    ends = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > ends:
            raise SystemExit(f"waited {PATIENCE:.0f} s for {what}")
        time.sleep(0.5)


def main() -> int:
    """Build and try; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="a folder that debootstrap made")
    parser.add_argument("work", type=Path, help="where stages and data go")
    parser.add_argument(
        "--bind", type=Path, action="append", default=[], help="a path to show to RUN steps, such as pip's"
    )
    parser.add_argument("--pass", dest="passed", action="append", default=[], help="a variable to hand to RUN steps")
    parser.add_argument("--resume", action="store_true", help="do not repeat the steps that WORK has behind it")
    given = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("needs root: chroot and mounts stand for a container engine")
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    more = {name: os.environ[name] for name in given.passed if name in os.environ}
    image = build(given.base.resolve(), work, resume=given.resume, binds=given.bind, more=more)
    wrong = try_image(image, work)
    print("\n".join(wrong) or "Nothing is wrong.", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
