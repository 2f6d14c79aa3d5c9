"""A document is read before anything is locked, in a process that ends when it takes too long, and two at once at most."""

import json
import os
import select
import signal
import subprocess
import sys
import threading

import pytest
from django.db import connection

from apps.catalog import openapi
from apps.catalog.openapi import reader_process, reading
from apps.catalog.services import api_create_from_openapi, openapi_import
from apps.foundation.errors import Unavailable
from tests.support.cast import make_api, make_cast

SMALL = json.dumps(
    {"openapi": "3.1.0", "info": {"title": "Shop", "version": "1"}, "paths": {"/items": {"get": {"summary": "Ää"}}}}
).encode()

READS_ASIDE = """
import json, subprocess
from apps.catalog.openapi import reader_process

class Told(subprocess.Popen):
    def communicate(self, content, **options):
        self.stdin.write(content)
        self.stdin.close()
        print(self.pid, flush=True)
        self.wait()

subprocess.Popen = Told
schemas = {f"S{number}": {"type": 7} for number in range(60_000)}
document = {"openapi": "3.0.3", "info": {"title": "L", "version": "1"}, "paths": {}, "components": {"schemas": schemas}}
reader_process.read_aside(json.dumps(document).encode(), "acme")
"""
"""A console that says which process reads for it, once that has it all. The document takes far longer than the test."""


def slow() -> bytes:
    """A document whose faults take seconds of processor time to find."""
    schemas = {f"S{number}": {"type": 7} for number in range(60_000)}
    document = {
        "openapi": "3.0.3",
        "info": {"title": "L", "version": "1"},
        "paths": {},
        "components": {"schemas": schemas},
    }
    return json.dumps(document).encode()


def test_what_is_read_aside_is_what_is_read_here():
    assert openapi.read_aside(SMALL, "acme") == reading.read(SMALL)


def test_what_refuses_a_document_here_refuses_it_aside():
    with pytest.raises(reader_process.ValidationError) as here:
        reading.read(b"openapi: 3.1.0\npaths: []")
    with pytest.raises(reader_process.ValidationError) as there:
        openapi.read_aside(b"openapi: 3.1.0\npaths: []", "acme")
    assert there.value.message_dict == here.value.message_dict


def test_a_document_that_takes_too_long_is_ended(monkeypatch):
    monkeypatch.setattr(reader_process, "SECONDS", 1)
    with pytest.raises(reader_process.ValidationError, match="takes more than 1 s to be checked: split it"):
        openapi.read_aside(slow(), "acme")


def test_nobody_waits_for_a_document_for_ever(monkeypatch):
    monkeypatch.setattr(reader_process, "PATIENCE", 0.01)
    with pytest.raises(reader_process.ValidationError, match=r"isn't checked after 0.01 s: split it"):
        openapi.read_aside(SMALL, "acme")


def test_a_document_that_takes_too_much_memory_is_refused(monkeypatch):
    monkeypatch.setattr(reader_process, "MEMORY", 2**20)
    with pytest.raises(reader_process.ValidationError, match="takes too much memory to be checked: split it"):
        openapi.read_aside(b" " * 4 * 2**20, "acme")


def test_a_document_whose_faults_take_too_much_memory_is_refused(monkeypatch):
    """The validator holds each fault with all that is around it, and aborts where it is given no more memory: one was asked to try
    again, and the log called it a fault of ours."""
    monkeypatch.setattr(reader_process, "MEMORY", 300 * 2**20)
    schema = '{"items":' * 55 + '{"type":7}' + "}" * 55
    schemas = ",".join(f'"s{number}":{schema}' for number in range(150))
    document = json.dumps(
        {**json.loads(SMALL), "openapi": "3.0.3", "components": {"schemas": json.loads(f"{{{schemas}}}")}}
    )
    with pytest.raises(reader_process.ValidationError, match="takes too much memory to be checked: split it"):
        openapi.read_aside(document.encode(), "acme")


def test_a_fault_of_the_reader_itself_is_no_refusal(monkeypatch):
    monkeypatch.setattr(reader_process, "MEMORY", "no number")
    with pytest.raises(RuntimeError, match="ended with status 1"):
        openapi.read_aside(SMALL, "acme")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_reader_that_is_ended_from_outside_is_no_fault_of_the_document(monkeypatch, caplog, ending):
    """By an operator or for want of memory: that was a fault of the console's, or said to have taken too long."""
    monkeypatch.setattr(
        reader_process.subprocess,
        "run",
        lambda command, **_: reader_process.subprocess.CompletedProcess(command, -ending, b""),
    )
    with pytest.raises(Unavailable, match="was interrupted: try again"):
        openapi.read_aside(SMALL, "acme")
    assert f"ended by signal {ending:d}" in caplog.text
    assert not reader_process._reading


@pytest.mark.skipif(sys.platform != "linux", reason="the signal is Linux's")
def test_a_reader_ends_with_the_console():
    """It went on for a minute of processor time, for nobody."""
    console = subprocess.Popen([sys.executable, "-c", READS_ASIDE], stdout=subprocess.PIPE, text=True)
    assert console.stdout is not None
    with console:
        reader = os.pidfd_open(int(console.stdout.readline()))
        console.kill()
    try:
        ended, _, _ = select.select([reader], [], [], 5)
    finally:
        os.close(reader)
    assert ended


def test_secrets_of_the_environment_stay_here(monkeypatch):
    seen = {}

    def run(command, **options):
        seen.update(options["env"])
        return reader_process.subprocess.CompletedProcess(command, 0, b'{"refused": ["No."]}')

    monkeypatch.setenv("KEY_PEPPER", "a secret")
    monkeypatch.setattr(reader_process.subprocess, "run", run)
    with pytest.raises(reader_process.ValidationError):
        openapi.read_aside(SMALL, "acme")
    assert set(seen) <= set(reader_process._PASSED_ON)


def test_more_than_two_at_once_are_asked_to_come_again(monkeypatch):
    monkeypatch.setattr(reader_process, "_reading", {"globex", "platform"})
    with pytest.raises(Unavailable, match="try again in a minute"):
        openapi.read_aside(SMALL, "acme")


def test_a_tenant_that_has_one_read_leaves_room_for_others(monkeypatch):
    monkeypatch.setattr(reader_process, "_reading", {"acme"})
    with pytest.raises(Unavailable, match="this tenant"):
        openapi.read_aside(SMALL, "acme")
    assert openapi.read_aside(SMALL, "globex") == reading.read(SMALL)


def test_a_place_is_free_again_after_each():
    for content in (SMALL, b"nothing", SMALL):
        try:
            openapi.read_aside(content, "acme")
        except reader_process.ValidationError:
            assert content == b"nothing"
    assert not reader_process._reading


@pytest.mark.django_db(transaction=True)
def test_nothing_is_locked_while_a_document_is_read(monkeypatch):
    """Others write while one is read: that was 37 s for a document of 709 kB, in which no key could be revoked."""
    cast = make_cast()
    api = make_api(cast.platform)
    slugs: list[str] = []

    def write_elsewhere() -> None:
        slugs.append(make_api(cast.platform, slug=f"other{len(slugs)}").slug)
        connection.close()

    def read(content: bytes, tenant: str) -> openapi.Description:
        assert not connection.in_atomic_block
        other = threading.Thread(target=write_elsewhere)
        other.start()
        other.join(60)
        return reading.read(content)

    monkeypatch.setattr(openapi, "read_aside", read)
    openapi_import(actor=cast.olga, api=api, content=SMALL)
    api_create_from_openapi(actor=cast.olga, tenant=cast.platform, content=SMALL, upstream_url="http://127.0.0.1:9/")
    assert slugs == ["other0", "other1"]
