"""The script that brings the engines up on a bare machine."""

import os
import subprocess
from pathlib import Path

import pytest

from support.stack import SCRIPT, told_of, variables

pytestmark = pytest.mark.acceptance

PORT = 23092
"""Below the ports that the system gives to whoever asks for any; the three above it are used too."""


def test_kafka_starts_whatever_its_id_begins_with(tmp_path: Path) -> None:
    variables()  # So that a Kafka runs, whose classes this one takes.
    words = Path(f"/proc/{told_of('kafka')[-1]}/cmdline").read_text().split("\0")
    folder = tmp_path / "stack"
    folder.mkdir()
    (folder / "kafka-libs").symlink_to(Path(words[words.index("-cp") + 1]).parent)
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "base64").write_text("#!/bin/sh\necho +aaaaaaaaaaaaaaaaaaaaQ==\n")
    (commands / "base64").chmod(0o755)
    environment = os.environ | {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "STACK_DIR": str(folder),
        "KAFKA_PORT": str(PORT),
    }
    try:
        up = subprocess.run([SCRIPT, "up", "kafka"], env=environment, check=False, capture_output=True, timeout=120)
        properties = folder / "kafka/data/meta.properties"
        assert (up.returncode, properties.is_file()) == (0, True), up.stderr
        assert "cluster.id=-aaaaaaaaaaaaaaaaaaaaQ" in properties.read_text()
    finally:
        subprocess.run([SCRIPT, "down", "kafka"], env=environment, check=True, capture_output=True, timeout=60)
