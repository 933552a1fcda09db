"""Agents by name, from real distributions on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, distributions
from pathlib import Path

import pytest

from tek_agents import AgentConflict, AgentRegistry, BrokenAgent, NoopAgent, ShellAgent, UnknownAgent

GOOD = """
from tek_agents import TaskReport

class Good:
    async def run(self, task):
        return TaskReport()

instance = Good()
"""

Install = Callable[..., None]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of installed distributions that Python imports from."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


@pytest.fixture
def install(site: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution that names agents, with at most one module."""

    def install(name: str, agents: dict[str, str], module: str = "", code: str = "", version: str = "1.0") -> None:
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        points = "\n".join(f"{key} = {value}" for key, value in agents.items())
        (info / "entry_points.txt").write_text(f"[tek.agents]\n{points}\n")
        if module:
            (site / f"{module}.py").write_text(code)
            monkeypatch.delitem(sys.modules, module, raising=False)

    return install


@pytest.fixture
def registry(site: Path) -> Callable[[], AgentRegistry]:
    """Return a registry of what is installed in the site by then."""
    return lambda: AgentRegistry(
        point for dist in distributions(path=[str(site)]) for point in dist.entry_points.select(group="tek.agents")
    )


Registry = Callable[[], AgentRegistry]


def test_the_built_in_agents_come_from_tek_itself() -> None:
    registry = AgentRegistry()

    assert {"noop", "shell"} <= set(registry.names())
    for name, kind in (("noop", NoopAgent), ("shell", ShellAgent)):
        loaded = registry.load(name)
        assert isinstance(loaded.agent, kind)
        assert (loaded.name, loaded.distribution) == (name, "tek")
        assert loaded.version


@pytest.mark.parametrize("value", ["agents_good:Good", "agents_good:instance"])
def test_a_class_or_an_instance_is_loaded_with_its_distribution_and_version(
    install: Install, registry: Registry, value: str
) -> None:
    install("Good_Agents", {"good": value}, "agents_good", GOOD, version="2.1")

    loaded = registry().load("good")

    assert type(loaded.agent).__name__ == "Good"
    assert (loaded.distribution, loaded.version) == ("good-agents", "2.1")


def test_only_the_named_agent_is_imported(install: Install, registry: Registry) -> None:
    install("good", {"good": "agents_good:Good"}, "agents_good", GOOD)
    install("other", {"other": "agents_other:Good"}, "agents_other", "raise SystemExit('imported')")

    assert registry().names() == ("good", "other")
    assert "agents_good" not in sys.modules
    registry().load("good")
    assert "agents_other" not in sys.modules


def test_an_unknown_name_is_told_with_the_closest_and_all_known(install: Install, registry: Registry) -> None:
    install("good", {"good": "agents_good:Good", "lint": "agents_good:Good"})

    with pytest.raises(UnknownAgent) as caught:
        registry().load("goood")

    assert caught.value.known == ("good", "lint")
    assert str(caught.value) == "no agent is called 'goood'; did you mean 'good'? installed are good, lint"
    assert str(UnknownAgent("x", ())) == "no agent is called 'x'; installed are none"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("x = 1", "AttributeError: module 'agents_bad' has no attribute 'Bad'"),
        ("class Bad:\n  def __init__(self, needed): pass", "TypeError: "),
        ("class Bad: pass", "agents_bad:Bad is neither a class nor an instance with a method run"),
        ("def Bad(): pass", "agents_bad:Bad is neither a class nor an instance with a method run"),
    ],
)
def test_an_agent_that_cannot_be_used_is_blamed_on_its_distribution(
    install: Install, registry: Registry, code: str, problem: str
) -> None:
    install("bad", {"bad": "agents_bad:Bad"}, "agents_bad", code)

    with pytest.raises(BrokenAgent) as caught:
        registry().load("bad")

    assert caught.value.distribution == "bad"
    assert str(caught.value).startswith(f"agent 'bad' of the distribution bad cannot be used: {problem}")


def test_a_name_claimed_by_two_distributions_is_refused(install: Install, registry: Registry) -> None:
    install("one", {"good": "agents_good:Good"}, "agents_good", GOOD)
    install("two", {"good": "agents_good:Good"})

    with pytest.raises(AgentConflict) as caught:
        registry().load("good")

    assert caught.value.distributions == ("one", "two")
    assert "agents_good" not in sys.modules


@pytest.mark.parametrize("with_tek", [True, False])
@pytest.mark.parametrize("name", ["noop", "shell"])
def test_no_other_distribution_can_stand_in_for_a_built_in_agent(
    install: Install, registry: Registry, name: str, with_tek: bool
) -> None:
    install("evil", {name: "agents_evil:Good"}, "agents_evil", GOOD)
    if with_tek:
        install("tek", {name: "tek_agents:NoopAgent"})

    with pytest.raises(AgentConflict, match="tek's own"):
        registry().load(name)
    assert "agents_evil" not in sys.modules


def test_a_distribution_that_names_two_agents_alike_is_refused(site: Path, install: Install) -> None:
    install("good", {"good": "agents_good:Good"}, "agents_good", GOOD)
    (dist,) = distributions(path=[str(site)])
    (point,) = dist.entry_points
    other = EntryPoint("good", "agents_good:instance", "tek.agents")._for(dist)  # type: ignore[attr-defined]  # as importlib.metadata makes them

    with pytest.raises(BrokenAgent, match="names two of them"):
        AgentRegistry([point, other]).load("good")
    assert AgentRegistry([point, point]).load("good").name == "good"


def test_an_entry_point_of_no_distribution_is_refused() -> None:
    with pytest.raises(BrokenAgent, match="version is unknown"):
        AgentRegistry([EntryPoint("good", "tek_agents:NoopAgent", "tek.agents")]).load("good")
