"""What the stack's processes inherit, where they listen, where their sockets are."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from media_assets.local.environment import base_environment, proxy_bypass
from media_assets.local.ports import free_port
from media_assets.local.sockets import LONGEST_SOCKET_PATH_BYTES, make_private, socket_folder


def test_secrets_are_not_inherited() -> None:
    ours = {"PATH": "/bin", "OPENAI_API_KEY": "k", "AWS_SECRET_ACCESS_KEY": "k", "GITHUB_TOKEN": "k", "PYTHONPATH": "x"}
    assert base_environment(ours) == {"PATH": "/bin"}


def test_a_proxy_gets_no_requests_to_this_machine() -> None:
    environment = base_environment({"https_proxy": "http://proxy:3128", "no_proxy": "intra.example"})
    assert environment["https_proxy"] == "http://proxy:3128"
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intra.example,127.0.0.1,localhost,::1"
    assert proxy_bypass(environment) == {name: environment[name] for name in ("NO_PROXY", "no_proxy")}


def test_without_a_proxy_there_is_nothing_to_bypass() -> None:
    assert proxy_bypass({"NO_PROXY": "intra.example"}) == {}


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_that_somebody_listens_on_is_replaced(address: str) -> None:
    with socket.socket() as taken:
        taken.bind((address, 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port
    assert free_port(port) == port


def test_a_socket_goes_where_its_path_fits(tmp_path: Path) -> None:
    shallow, deep = tmp_path / "run", tmp_path / ("deep" * 30)
    assert socket_folder(shallow, "s.sock") == shallow
    assert len(os.fsencode(socket_folder(deep, "s.sock") / "s.sock")) <= LONGEST_SOCKET_PATH_BYTES
    assert socket_folder(deep, "s.sock") != socket_folder(deep / "other", "s.sock")


def test_a_link_in_place_of_a_private_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError):
        make_private(tmp_path / "run", os.getuid())
