"""``up``: an installation from nothing to ready on one machine, and back to nothing when it is stopped."""

import asyncio
import concurrent.futures
import logging
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx
from django import db
from django.conf import settings
from django.core.exceptions import ValidationError

from apimgr.environment import keep_private
from apps.supervisor import installation
from apps.supervisor.checks import the_database_is_no_newer_versions
from apps.supervisor.data_lock import DataDirectoryInUse, DataLock
from apps.supervisor.dead_workers import Reaper
from apps.supervisor.demo import Demo, demo_prepare
from apps.supervisor.first_start import (
    AdministratorWishes,
    FirstAdministrator,
    administrator_make,
    administrator_token,
    migrate,
)
from apps.supervisor.installation import Listeners
from apps.supervisor.log_stream import LogStream, LogStreamHandler
from apps.supervisor.ports import PortTaken, listen
from apps.supervisor.supervisor import Supervisor
from apps.supervisor.valkey import ValkeyError, is_ready, refuse_evicting
from apps.supervisor.welcome_message import welcome
from apps.tenants.egress import egress_announce
from apps.wire.redis_client import connect

T = TypeVar("T")

PATIENCE_WITH_REDIS = 60.0


class Stopped(Exception):
    """It was stopped before it was ready."""


class CannotStart(Exception):
    """Something outside must change first; the message says what."""


def bind() -> Listeners:
    """Both ports, before anything else is started. Raises ``PortTaken``."""
    console = listen(settings.LISTEN_HOST, settings.CONSOLE_PORT, use="the console", variable="CONSOLE_PORT")
    try:
        gateway = listen(settings.LISTEN_HOST, settings.GATEWAY_PORT, use="the gateway", variable="GATEWAY_PORT")
    except PortTaken:
        console.close()
        raise
    return Listeners(console=console, gateway=gateway)


async def run(*, demo: bool) -> int:
    """Start everything and serve until told to stop. The exit status: 0 after a stop, 1 when it could not start."""
    wishes = AdministratorWishes.take()
    try:
        lock = DataLock(settings.DATA_DIR)
        keep_private(settings.DATA_DIR)
        listeners = bind()
    except (DataDirectoryInUse, PortTaken) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    log = LogStream(sys.stdout)
    logging.getLogger().handlers = [LogStreamHandler(log, "up")]
    supervisor = Supervisor(log, on_end=Reaper(log).note)
    supervisor.watch_signals()
    try:
        await _serve(supervisor, listeners, log, wishes, demo=demo)
    except Stopped:
        pass
    except (CannotStart, ValkeyError) as error:
        supervisor.say(str(error))
        return 1
    finally:
        supervisor.say("stopping")
        await supervisor.stop()
        listeners.close()
        supervisor.say("stopped")
        log.close()
        lock.release()
    return 0


async def _serve(
    supervisor: Supervisor, listeners: Listeners, log: LogStream, wishes: AdministratorWishes, *, demo: bool
) -> None:
    await supervisor.start([installation.valkey_plan(server) for server in installation.valkeys()])
    await _redis_is_fit(supervisor)
    made, notice, shown = await _in_thread(supervisor, lambda: _first_start(wishes, demo=demo))
    await supervisor.start(
        [
            *installation.gateways(listeners.gateway),
            installation.agent(),
            *installation.celery(),
            *installation.events(),
            installation.console(listeners.console),
            *([shown.origin()] if shown else []),
        ]
    )
    await _ready(supervisor)
    log.plain(welcome(made, shown.credentials if shown else None, notice))
    if shown:
        await supervisor.start(shown.traffic())
    await supervisor.stopping.wait()


def _first_start(wishes: AdministratorWishes, *, demo: bool) -> tuple[FirstAdministrator | None, str, Demo | None]:
    try:
        if newer := the_database_is_no_newer_versions(None, databases=[db.DEFAULT_DB_ALIAS]):
            raise CannotStart(f"{newer[0].msg} {newer[0].hint}")
        migrate()
        egress_announce()
        made = administrator_make(wishes)
        notice = "" if made else administrator_token(wishes)
        return made, notice, demo_prepare() if demo else None
    except db.DatabaseError as error:
        raise CannotStart(f"The database can't be used: {str(error).strip()}") from error
    except ValidationError as error:
        raise CannotStart(f"The first administrator can't be made: {' '.join(error.messages)}") from error


async def _redis_is_fit(supervisor: Supervisor) -> None:
    """Wait for both servers. Raises ``ValkeyError`` for a state server that evicts, ``CannotStart`` for one that never answers."""
    for variable, url in (("REDIS_URL", settings.REDIS_URL), ("CACHE_REDIS_URL", settings.CACHE_REDIS_URL)):

        async def answers(url: str = url) -> bool:
            return await asyncio.to_thread(is_ready, url)

        try:
            async with asyncio.timeout(PATIENCE_WITH_REDIS):
                await _wait(supervisor, answers, what=variable)
        except TimeoutError:
            raise CannotStart(f"The server that {variable} names does not answer.") from None
    with connect(settings.REDIS_URL, timeout=5.0) as client:
        await asyncio.to_thread(refuse_evicting, client)


async def _ready(supervisor: Supervisor) -> None:
    """Wait until the console, and the gateway with all its workers, answer."""
    workers = [child for name, child in supervisor.children.items() if name.startswith("gateway")]
    async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:

        async def answers(url: str) -> bool:
            try:
                return (await client.get(url)).status_code == httpx.codes.OK
            except httpx.HTTPError:
                return False

        async def gateway() -> bool:
            return all(child.ready.is_set() for child in workers) and await answers(
                f"http://127.0.0.1:{settings.GATEWAY_PORT}/_gateway/readyz"
            )

        async def everything() -> bool:
            # Both at once: a worker may end while the console starts.
            return await answers(f"http://127.0.0.1:{settings.CONSOLE_PORT}/readyz") and await gateway()

        await _wait(supervisor, gateway, what="the gateway")
        await _wait(supervisor, everything, what="the console")


async def _wait(supervisor: Supervisor, ready: Callable[[], Awaitable[bool]], *, what: str) -> None:
    if not await supervisor.until(ready, what=what):
        raise Stopped


async def _in_thread(supervisor: Supervisor, work: Callable[[], T]) -> T:
    """Run blocking ``work`` in a thread that a stop doesn't wait for: a database that hangs must not hold us up.

    Raises ``Stopped`` when told to stop meanwhile, and whatever ``work`` raises.
    """
    done: concurrent.futures.Future[T] = concurrent.futures.Future()

    def target() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # handed to the waiting thread
            done.set_exception(error)
        finally:
            db.connections.close_all()

    threading.Thread(target=target, name="first start", daemon=True).start()

    async def is_done() -> bool:
        return done.done()

    await _wait(supervisor, is_done, what="the database")
    return done.result()
