"""Which Ray is used, and who shuts it down: with a stand-in for Ray, so that none is started."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

import pytest

from twiceshy.errors import BadInput, MissingExtra
from twiceshy.integrations.ray.session import imported_ray, ray_session


class StandIn(ModuleType):
    """Takes down what is asked of it."""

    def __init__(self, *, running: bool = False, refuses: str | None = None) -> None:
        super().__init__("ray")
        self.running, self.refuses = running, refuses
        self.asked: list[Any] = []

    def is_initialized(self) -> bool:
        return self.running

    def init(self, **settings: Any) -> None:
        self.asked.append(settings)
        if self.refuses is not None:
            raise RuntimeError(self.refuses)
        self.running = True

    def shutdown(self) -> None:
        self.asked.append("shutdown")
        self.running = False


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "")  # is put back afterwards, also where the code sets it
        monkeypatch.delenv(name)


def session(ray: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", ray)
    with ray_session("a test", store_bytes=7, n_cpus=1, instead="do without") as given:
        assert given is ray
        assert given.running


def test_a_local_one_is_on_loopback_and_is_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = StandIn()
    session(ray, monkeypatch)
    settings, last = ray.asked
    assert last == "shutdown"
    assert settings["_node_ip_address"] == "127.0.0.1"
    assert (settings["object_store_memory"], settings["num_cpus"]) == (7, 1)
    assert settings["include_dashboard"] is False
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_named_cluster_gets_no_local_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    ray = StandIn()
    session(ray, monkeypatch)
    settings, last = ray.asked
    assert last == "shutdown"
    assert set(settings) == {"logging_level", "log_to_driver"}
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in os.environ


def test_one_that_runs_is_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = StandIn(running=True)
    session(ray, monkeypatch)
    assert ray.asked == []
    assert ray.running


def test_one_that_does_not_start_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="got no port left") as caught:
        session(StandIn(refuses="no port left\nTraceback"), monkeypatch)
    assert caught.value.fix.endswith("or do without.")


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"weights.*twiceshy\[ray\]"):
        imported_ray("weights")
    monkeypatch.setitem(sys.modules, "ray", StandIn())
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingExtra):
        imported_ray("weights", needs=("ray", "ray.data"))
