"""What the files in packaging/ and the workflow example say, read as far as tests ask about it."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / "packaging"
WORKFLOW = ROOT / "examples" / "github-action" / "claviger.yml"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, without comments, each on one line."""
    text = re.sub(r"^#.*\n", "", (PACKAGING / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(name.upper(), rest.strip()) for name, _, rest in (line.partition(" ") for line in lines if line.strip())]


def image_environment() -> dict[str, str]:
    """What the image sets."""
    (told,) = [rest for name, rest in instructions() if name == "ENV"]
    return dict(pair.split("=", 1) for pair in told.split())


def compose() -> dict[str, Any]:
    """The compose file."""
    told: dict[str, Any] = yaml.safe_load((PACKAGING / "compose.yaml").read_text())
    return told


def workflow_steps() -> dict[str, str]:
    """The workflow's scripts by the names of their steps."""
    jobs = yaml.safe_load(WORKFLOW.read_text())["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    return {step["name"]: step["run"] for step in steps if "run" in step}


def as_words(instruction: str) -> list[str]:
    """The exec form of an instruction. Raises ValueError for its shell form."""
    words = json.loads(instruction)
    return [str(word) for word in words]


def ask(*command: str, limit_s: float = 60, **more: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command of the machine; its exit code is for the caller to judge."""
    return subprocess.run(command, capture_output=True, text=True, timeout=limit_s, check=False, **more)
