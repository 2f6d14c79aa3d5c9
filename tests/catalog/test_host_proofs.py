"""Proofs of host names: looked for in a real DNS and on a real host, in bounded time, and never where calls may not lead."""

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from django.db import OperationalError

from apimgr.environment import name_server
from apps.catalog import host_proofs, services, tasks
from apps.catalog.choices import HostMethod, HostState
from apps.catalog.host_proofs import find_proof
from apps.catalog.hosts import proof
from apps.catalog.models import HostName
from apps.egress import outbound
from apps.egress.rules import ONE_MACHINE, Guard, rule_of
from tests.support.cast import Cast
from tests.support.waiting import SOON

HOST = "shop.acme.test"
HERE = Guard([rule_of(text) for text in ONE_MACHINE])


class NameServer:
    """A DNS server on a loopback port: ``records`` maps a name to TXT values, ``None``: it doesn't answer."""

    def __init__(self) -> None:
        self.records: dict[str, list[str] | None] = {}
        self.asked: list[str] = []
        self.rcode = dns.rcode.NXDOMAIN
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", 0))
        self.place = f"127.0.0.1:{self._udp.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._udp.getsockname())
        self._thread.join()
        self._udp.close()

    def _serve(self) -> None:
        while True:
            data, who = self._udp.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            name = str(query.question[0].name).rstrip(".")
            self.asked.append(name)
            values = self.records.get(name, [])
            if values is None:
                continue
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            if name in self.records:
                if values:
                    answer.answer.append(dns.rrset.from_text_list(query.question[0].name, 1, "IN", "TXT", values))
            else:
                answer.set_rcode(self.rcode)
            self._udp.sendto(answer.to_wire(), who)


class Host:
    """A host that answers each connection with ``sends``, a part at a time as far as it is read, and notes what was asked."""

    def __init__(self) -> None:
        self.sends: list[bytes] = [b"HTTP/1.0 404 Not Found\r\n\r\n"]
        self.asked: list[bytes] = []
        self.pause = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def stop(self) -> None:
        self.pause.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def says(self, body: bytes, head: bytes = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n") -> None:
        self.sends = [head + b"\r\n" + body]

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(4096))
                try:
                    for part in self.sends:
                        connection.sendall(part)
                        if len(self.sends) > 1 and self.pause.wait(0.05):
                            break
                except OSError:
                    continue


@pytest.fixture
def names(settings: Any) -> Iterator[NameServer]:
    """A name server, which the installation asks."""
    server = NameServer()
    settings.DNS_SERVERS = [server.place]
    yield server
    server.stop()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A host to which every name leads."""
    server = Host()
    monkeypatch.setattr(host_proofs, "PLACES", (f"http://{{}}:{server.port}",))
    real = socket.getaddrinfo

    def here(name: str, port: Any, *rest: Any, **options: Any) -> Any:
        return real("127.0.0.1" if name.endswith(".test") else name, port, *rest, **options)

    monkeypatch.setattr(outbound.socket, "getaddrinfo", here)
    yield server
    server.stop()


def test_a_record_proves_among_others_and_in_parts(names: NameServer, host: Host):
    names.records[f"_apimgr.{HOST}"] = ['"v=spf1 -all"', '"apimgr-host=" "abc "']
    assert find_proof(HOST, "apimgr-host=abc", HERE) == (HostMethod.DNS, "")
    assert (names.asked, host.asked) == ([f"_apimgr.{HOST}"], [])


def test_a_line_of_a_file_proves(names: NameServer, host: Host):
    host.says(b"apimgr-host=of-another\r\n  apimgr-host=abc \n")
    assert find_proof(HOST, "apimgr-host=abc", HERE).method == HostMethod.FILE
    (asked,) = host.asked
    assert asked.startswith(b"GET /.well-known/apimgr-host.txt HTTP/1.0\r\nHost: shop.acme.test:")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ("none", "There is no TXT record at _apimgr.shop.acme.test."),
        ("empty", "There is no TXT record at _apimgr.shop.acme.test."),
        ("other", "The TXT record at _apimgr.shop.acme.test has another value."),
        ("refused", "could not be looked up"),
    ],
)
def test_what_the_dns_says_instead_is_told(names: NameServer, host: Host, answer: str, told: str):
    if answer in ("empty", "other"):
        names.records[f"_apimgr.{HOST}"] = [] if answer == "empty" else ['"apimgr-host=abcd"']
    if answer == "refused":
        names.rcode = dns.rcode.REFUSED
    found = find_proof(HOST, "apimgr-host=abc", HERE)
    assert found.method is None
    assert told in found.sentence


@pytest.mark.parametrize(
    ("sends", "told"),
    [
        ([b"HTTP/1.1 404 Not Found\r\n\r\napimgr-host=abc\n"], "answers 404"),
        ([b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere.test/\r\n\r\napimgr-host=abc\n"], "answers 302"),
        ([b"HTTP/1.1 200 OK\r\n\r\nxapimgr-host=abc\n"], "lacks the line"),
        ([b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 5000 + b"\napimgr-host=abc\n"], "lacks the line"),
        ([b"SSH-2.0-OpenSSH\r\n"], "could not be read"),
        ([b"HTTP/1.1\r\n\r\n"], "could not be read"),
        ([b""], "could not be read"),
    ],
)
def test_what_is_no_such_file_proves_nothing(names: NameServer, host: Host, sends: list[bytes], told: str):
    host.sends = sends
    found = find_proof(HOST, "apimgr-host=abc", HERE)
    assert found.method is None
    assert told in found.sentence


def test_a_host_that_is_slow_or_endless_gets_its_seconds_and_no_more(
    names: NameServer, host: Host, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(host_proofs, "SECONDS", 0.3)
    for sends in ([b"H"] * 1000, [b"HTTP/1.1 200 OK\r\n", *[b"x: y\r\n"] * 1000]):
        host.sends = sends
        begun = time.monotonic()
        assert find_proof(HOST, "apimgr-host=abc", HERE).method is None
        assert time.monotonic() - begun < SOON
    host.sends = [b"HTTP/1.1 200 OK\r\n\r\n" + b"a\n" * 2**20]
    assert "lacks the line" in find_proof(HOST, "apimgr-host=abc", HERE).sentence


def test_a_name_server_that_is_silent_gets_its_seconds_and_no_more(
    names: NameServer, host: Host, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(host_proofs, "SECONDS", 0.2)
    names.records[f"_apimgr.{HOST}"] = None
    assert "didn't answer in time" in find_proof(HOST, "apimgr-host=abc", HERE).sentence


def test_the_file_is_not_read_where_the_tenants_calls_may_not_lead(names: NameServer, host: Host):
    host.says(b"apimgr-host=abc")
    found = find_proof(HOST, "apimgr-host=abc", Guard())
    assert found.method is None
    assert "could not be read" in found.sentence
    assert "127.0.0.1" not in found.sentence
    assert host.asked == []


def test_a_name_too_long_for_a_record_is_answered_like_any_other(names: NameServer, host: Host):
    assert find_proof(".".join(["a" * 60] * 4), "apimgr-host=abc", HERE).method is None


def noting(looked: list[str]) -> Any:
    """A look that finds nothing and notes at what."""

    def look_at(host: str, *_: Any, **__: Any) -> host_proofs.ProofResult:
        looked.append(host)
        return host_proofs.ProofResult(None, "")

    return look_at


@pytest.mark.django_db
class TestTheTask:
    """What the schedule makes of claims."""

    def claim(self, cast: Cast, host: str = HOST) -> HostName:
        return services.host_claim(actor=cast.alice, tenant=cast.acme, host=host)

    def test_a_claim_is_proved_when_its_record_is_there(self, cast: Cast, names: NameServer, host: Host):
        name = self.claim(cast)
        now = datetime.now(UTC)
        assert tasks.check_due(now) == 1
        name.refresh_from_db()
        assert (name.state, name.checked_at) == (HostState.PENDING, now)
        assert "There is no TXT record" in name.finding
        names.records[f"_apimgr.{HOST}"] = [f'"{proof(cast.acme, HOST)}"']
        assert tasks.check_due(now) == 0
        services.host_recheck(actor=cast.bob, host=name)
        assert tasks.check_due(datetime.now(UTC)) == 1
        name.refresh_from_db()
        assert (name.state, name.method, name.finding) == (HostState.PROVED, HostMethod.DNS, "")
        assert tasks.check_due(now + timedelta(days=1)) == 0

    def test_another_tenants_proof_proves_nothing(self, cast: Cast, names: NameServer, host: Host):
        name = self.claim(cast)
        names.records[f"_apimgr.{HOST}"] = [f'"{proof(cast.globex, HOST)}"']
        tasks.check_due(datetime.now(UTC))
        name.refresh_from_db()
        assert (name.state, "has another value" in name.finding) == (HostState.PENDING, True)

    def test_a_wildcard_is_proved_by_the_record_of_its_domain_alone(self, cast: Cast, names: NameServer, host: Host):
        name = self.claim(cast, "*.acme.test")
        host.says(proof(cast.acme, "*.acme.test").encode())
        names.records["_apimgr.acme.test"] = [f'"{proof(cast.acme, "acme.test")}"']
        tasks.check_due(datetime.now(UTC))
        name.refresh_from_db()
        assert (name.state, host.asked) == (HostState.PENDING, [])
        assert name.finding.endswith("has another value. Only the record counts for this name.")
        names.records["_apimgr.acme.test"].append(f'"{proof(cast.acme, "*.acme.test")}"')
        services.host_recheck(actor=cast.alice, host=name)
        tasks.check_due(datetime.now(UTC))
        name.refresh_from_db()
        assert (name.state, name.method) == (HostState.PROVED, HostMethod.DNS)

    def test_a_file_takes_no_name_from_another_tenants_wildcard_and_a_record_does(
        self, cast: Cast, names: NameServer, host: Host
    ):
        services.host_grant(actor=cast.ada, tenant=cast.globex, host="*.acme.test")
        name = self.claim(cast)
        host.says(proof(cast.acme, HOST).encode())
        tasks.check_due(datetime.now(UTC))
        name.refresh_from_db()
        assert (name.state, host.asked) == (HostState.PENDING, [])
        names.records[f"_apimgr.{HOST}"] = [f'"{proof(cast.acme, HOST)}"']
        services.host_recheck(actor=cast.alice, host=name)
        tasks.check_due(datetime.now(UTC))
        name.refresh_from_db()
        assert name.state == HostState.PROVED

    def test_a_file_proves_a_name_below_the_tenants_own_wildcard(self, cast: Cast, names: NameServer, host: Host):
        services.host_grant(actor=cast.ada, tenant=cast.acme, host="*.acme.test")
        name = self.claim(cast)
        host.says(proof(cast.acme, HOST).encode())
        tasks.check_due(datetime.now(UTC))
        name.refresh_from_db()
        assert (name.state, name.method) == (HostState.PROVED, HostMethod.FILE)

    def test_a_name_that_another_proved_first_stays_a_claim(self, cast: Cast, names: NameServer, host: Host):
        name = self.claim(cast)
        services.host_grant(actor=cast.ada, tenant=cast.globex, host=HOST)
        names.records[f"_apimgr.{HOST}"] = [f'"{proof(cast.acme, HOST)}"']
        tasks.check_due(datetime.now(UTC))
        name.refresh_from_db()
        assert (name.state, name.finding) == (HostState.PENDING, "It belongs to another tenant.")

    def test_claims_are_looked_at_less_often_as_they_age_and_then_when_somebody_asks(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setattr(tasks, "find_proof", lambda *_, **__: host_proofs.ProofResult(None, "Not yet."))
        name = self.claim(cast)
        waits = []
        now = name.created_at
        while name.check_at is not None:
            now = max(now, name.check_at)
            tasks.check_due(now)
            name.refresh_from_db()
            waits.append(None if name.check_at is None else name.check_at - now)
        assert waits[0] == timedelta(seconds=20)
        assert max(waits[:-1]) == timedelta(hours=6)
        assert now - name.created_at > timedelta(days=14)
        assert len(waits) < 150
        services.host_recheck(actor=cast.alice, host=name)
        assert tasks.check_due(now + timedelta(minutes=1)) == 1

    def test_a_tenant_with_many_names_leaves_room_for_others(self, cast: Cast, monkeypatch: pytest.MonkeyPatch):
        looked: list[str] = []
        monkeypatch.setattr(tasks, "find_proof", noting(looked))
        for number in range(20):
            self.claim(cast, f"{number}.acme.test")
        services.host_claim(actor=cast.charlie, tenant=cast.globex, host="globex.test")
        assert tasks.check_due(datetime.now(UTC)) == tasks.OF_A_TENANT + 1
        assert "globex.test" in looked

    def test_a_name_is_looked_at_by_one_task_at_a_time(self, cast: Cast, monkeypatch: pytest.MonkeyPatch):
        self.claim(cast)
        now = datetime.now(UTC)
        inside: list[str] = []
        monkeypatch.setattr(tasks, "_due", lambda at: list(HostName.objects.select_related("tenant")))
        rows = tasks._due(now)
        monkeypatch.setattr(tasks, "_due", lambda at: rows)
        monkeypatch.setattr(tasks, "find_proof", noting(inside))
        assert (tasks.check_due(now), tasks.check_due(now)) == (1, 0)
        assert inside == [HOST]

    def test_a_database_that_is_away_is_waited_for(self, monkeypatch: pytest.MonkeyPatch):
        def away(*_: Any) -> int:
            raise OperationalError("away")

        monkeypatch.setattr(tasks, "check_due", away)
        tasks.check_hosts()

    def test_a_round_that_is_slow_takes_one_thread_of_celerys_and_no_other(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ):
        rounds: list[datetime] = []

        def slow(now: datetime) -> int:
            rounds.append(now)
            tasks.check_hosts()  # the next tick comes meanwhile
            return 0

        monkeypatch.setattr(tasks, "check_due", slow)
        tasks.check_hosts()
        assert len(rounds) == 1
        tasks.check_hosts()
        assert len(rounds) == 2


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("192.0.2.53", ("192.0.2.53", 53)),
        ("192.0.2.53:5353", ("192.0.2.53", 5353)),
        ("2001:db8::53", ("2001:db8::53", 53)),
        ("[2001:db8::53]:5353", ("2001:db8::53", 5353)),
    ],
)
def test_a_server_of_names_is_an_address_with_or_without_a_port(text: str, server: tuple[str, int]) -> None:
    assert name_server(text) == server


@pytest.mark.parametrize(
    "text", ["", "dns.acme.test", "dns.acme.test:53", "192.0.2.53:", "192.0.2.53:0", "192.0.2.53:99999"]
)
def test_anything_else_is_no_server_of_names(text: str) -> None:
    with pytest.raises(ValueError, match=r"no server of names|not appear to be"):
        name_server(text)
