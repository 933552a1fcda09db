"""What mypy makes of an agent: every answer has its type."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SAMPLE = """
from datetime import datetime
from typing import Any, assert_type

from tek_abi import Blob, Budget
from tek_abi.vocabulary.fs import Read
from tek_agents import Agent, Assignment, TaskReport, bounded, clock, env, fs, gather, net, note, proc, race, random


class Sample:
    async def run(self, task: Assignment) -> TaskReport:
        assert_type(await fs.read_text("a"), str)
        assert_type(await fs.read_bytes("a"), bytes)
        assert_type(await fs.list(), tuple[fs.Entry, ...])
        assert_type(await fs.glob("*"), tuple[str, ...])
        assert_type(await fs.hash("a"), fs.Digest)
        assert_type(await fs.copy("a", "b"), fs.Digest)
        assert_type(await fs.stat("a"), fs.Status)
        assert_type(await fs.exists("a"), bool)
        assert_type(await proc.exec("a", "b"), proc.Exit)
        assert_type(await proc.output_text(["a"]), str)
        assert_type(await net.get("a"), net.Response)
        assert_type(await net.get_json("a"), Any)
        assert_type(await clock.now(), datetime)
        assert_type(await random.bytes(1), bytes)
        assert_type(await env.get("A"), str | None)
        assert_type(await env.get("A", "b"), str)
        assert_type(await Read("a"), Blob)
        assert_type(await gather(fs.read_text("a"), fs.read_text("b")), list[str])
        assert_type(await gather(fs.read_text("a"), clock.now()), list[str | datetime])
        assert_type(await gather(*[fs.read_text(name) for name in "abcd"]), list[str])
        assert_type(await race(fs.read_text("a"), fs.read_text("b")), tuple[int, str])
        assert_type(await bounded(Read("a"), budget=Budget(io=1)), Blob)
        assert_type(await bounded(fs.read_text("a"), budget=Budget(io=1)), str)
        assert_type(await gather(bounded(fs.read_text("a")), Read("b")), list[str | Blob])
        text: str = await fs.read_text("a")
        await note(text)
        return TaskReport()


agent: Agent = Sample()
"""


def checked(sample: Path, text: str) -> subprocess.CompletedProcess[str]:
    sample.write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(sample.parent / "cache"), str(sample)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_answer_has_its_type(tmp_path: Path) -> None:
    result = checked(tmp_path / "sample_agent.py", SAMPLE)

    assert result.returncode == 0, result.stdout + result.stderr


def test_an_agent_that_mistakes_a_type_or_does_not_report_is_found(tmp_path: Path) -> None:
    mistaken = SAMPLE.replace("text: str", "text: int").replace("        return TaskReport()", "        return None")

    result = checked(tmp_path / "mistaken_agent.py", mistaken)

    assert result.returncode == 1
    assert 'expression has type "str", variable has type "int"' in result.stdout
    assert 'Incompatible return value type (got "None", expected "TaskReport")' in result.stdout
