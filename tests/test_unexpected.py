from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BROKEN = """
import sys
from styleid_ray import cli
from styleid_ray.batch.folder import output

def broken(self, url, storage_options=None):
    self.storage_options = storage_options
    raise RuntimeError(f"never seen: {storage_options} at https://me:pa55word@host/x?sig=51gn\\nmore")

output.Output.__init__ = broken
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("command", ["stylize", "verify"])
def test_an_error_that_nobody_expected_is_one_line_and_a_file_with_the_traceback(
    tmp_path: Path, command: str
) -> None:
    given = {"stylize": ["--content=in", "--style=in", "--output=out"], "verify": ["out"]}
    options = json.dumps({"secret": "5ecret-3", "token": "t0ken-4"})
    run = subprocess.run(
        [sys.executable, "-c", BROKEN, command, *given[command], f"--storage-options={options}"],
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=False,
    )
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith("error: unexpected RuntimeError (never seen: ")
    assert run.stderr.count("\n") == 1
    [path] = re.findall(r"the traceback in (\S+)$", run.stderr.strip())
    traceback = Path(path).read_text()
    assert Path(path).parent == tmp_path
    assert "Traceback (most recent call last)" in traceback
    assert "in broken" in traceback
    for secret in ("5ecret-3", "t0ken-4", "pa55word", "51gn"):
        assert secret not in run.stderr + traceback


def test_a_traceback_that_cannot_be_written_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from styleid_ray.unexpected import unexpected

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    line = unexpected(ValueError("never seen"))
    assert line.startswith("unexpected ValueError (never seen); its traceback cannot be written")
