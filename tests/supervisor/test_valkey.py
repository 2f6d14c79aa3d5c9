"""The embedded Valkeys: their roles, their life, and the refusal of a state server that forgets."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from apps.supervisor.valkey import (
    EmbeddedValkey,
    ValkeyError,
    ValkeyRole,
    ValkeySettings,
    answers,
    is_ready,
    refuse_evicting,
    refuse_foreign_folder,
)
from tests.support.waiting import wait_until


def test_the_state_server_keeps_a_journal_and_never_evicts(state_redis):
    assert state_redis.config_get("appendonly") == {"appendonly": "yes"}
    assert state_redis.config_get("appendfsync") == {"appendfsync": "everysec"}
    assert state_redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert state_redis.config_get("port") == {"port": "0"}


def test_the_cache_server_keeps_nothing_and_evicts_what_is_used_least(cache_redis):
    assert cache_redis.config_get("appendonly") == {"appendonly": "no"}
    assert cache_redis.config_get("save") == {"save": ""}
    assert cache_redis.config_get("maxmemory-policy") == {"maxmemory-policy": "allkeys-lfu"}
    assert int(cache_redis.config_get("maxmemory")["maxmemory"]) > 0


def test_settings_name_the_servers_that_run(valkeys, settings):
    assert valkeys[ValkeyRole.STATE].url == settings.REDIS_URL
    assert valkeys[ValkeyRole.CACHE].url == settings.CACHE_REDIS_URL


def test_state_survives_a_kill(extra_valkey):
    server = extra_valkey("state")
    with server.client() as client:
        client.set("kept", "yes")
    server.kill()
    assert not is_ready(server.url)
    server.start()
    with server.client() as client:
        assert client.get("kept") == b"yes"


def test_a_frozen_server_is_not_ready_and_goes_on_when_thawed(extra_valkey):
    server = extra_valkey("cache")
    server.send(signal.SIGSTOP)
    assert not is_ready(server.url, timeout=0.05)
    server.send(signal.SIGCONT)
    wait_until(lambda: is_ready(server.url))


def test_a_frozen_server_can_be_stopped(extra_valkey):
    server = extra_valkey("cache")
    pid = server.pid
    server.send(signal.SIGSTOP)
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_listens_on_tcp_when_asked(extra_valkey):
    server = extra_valkey("state", tcp=True)
    with redis.Redis(host="127.0.0.1", port=server.settings.port) as client:
        assert client.ping()


def test_a_server_that_can_not_start_says_so(tmp_path):
    server = EmbeddedValkey(
        ValkeySettings(role=ValkeyRole.STATE, folder=tmp_path, socket=tmp_path / "s.sock", extra={"nonsense": "1"})
    )
    with pytest.raises(ValkeyError, match="ended at once"):
        server.start()


def test_a_folder_with_spaces_and_quotes_works(extra_valkey, tmp_path):
    folder = tmp_path / 'a "quoted" name'
    with EmbeddedValkey(ValkeySettings(role=ValkeyRole.STATE, folder=folder, socket=folder / "s.sock")) as server:
        assert is_ready(server.url)


def test_a_state_server_that_evicts_is_refused(extra_valkey):
    server = extra_valkey("state", maxmemory_policy="allkeys-lru")
    with server.client() as client, pytest.raises(ValkeyError, match="allkeys-lru"):
        refuse_evicting(client)


def test_a_state_server_that_never_evicts_is_accepted(state_redis):
    refuse_evicting(state_redis)


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    refuse_foreign_folder(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ValkeyError, match="another user"):
        refuse_foreign_folder(tmp_path)


def test_a_link_in_place_of_the_socket_folder_is_refused(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(ValkeyError, match="another user"):
        refuse_foreign_folder(link)


def test_the_server_ends_when_whoever_started_it_is_killed(tmp_path):
    script = (
        "import sys, signal, pathlib\n"
        "from apps.supervisor.valkey import *\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "EmbeddedValkey(ValkeySettings(role=ValkeyRole.CACHE, folder=folder, socket=folder / 's')).start()\n"
        "print('up', flush=True)\n"
        "signal.pause()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == "up\n"
    assert answers(tmp_path / "s")
    parent.kill()
    parent.wait()
    wait_until(lambda: not answers(tmp_path / "s"))
