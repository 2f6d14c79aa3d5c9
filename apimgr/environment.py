"""What the environment tells: the data directory, the secrets of the installation, and where its servers are."""

import base64
import hashlib
import os
import secrets
import stat
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from apimgr.variables import read, refuse

ROOT = Path(__file__).resolve().parent.parent

# sockaddr_un.sun_path holds 108 bytes with its closing NUL on Linux, 104 on macOS and the BSDs.
LONGEST_SOCKET_PATH = 100


def data_dir() -> Path:
    """The installation's data directory (``APIMGR_DATA``, ``var/`` by default), for its owner alone: it is made so, and where it
    was there already it becomes so.
    """
    path = read("APIMGR_DATA", ROOT / "var", Path).resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        refuse(
            "APIMGR_DATA",
            f"{str(path)!r} can't be a folder ({error.strerror}): name one that can be made or written to.",
        )
    _for_the_owner_alone(path)
    return path


def keep_private(folder: Path) -> int:
    """Take from everybody but their owner what they may do with a folder and all below it, and with what this process and its
    children make from now on; how many had been open to others. Folders end as 0700, files and sockets as 0600 (0700 where
    their owner may run them). What a link leads to stays as it is, and so does what belongs to another user.
    """
    os.umask(0o077)
    changed = int(_for_the_owner_alone(folder))
    for parent, folders, files in os.walk(folder):
        changed += sum(_for_the_owner_alone(Path(parent, name)) for name in (*folders, *files))
    return changed


def _for_the_owner_alone(path: Path) -> bool:
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode) or not found.st_mode & 0o077:
            return False
        path.chmod(stat.S_IMODE(found.st_mode) & 0o700)
    except (FileNotFoundError, PermissionError):
        return False
    return True


def socket_path(data: Path, name: str) -> Path:
    """Where the embedded server ``name`` listens: in ``data``, or under the temporary directory when that path is too long."""
    path = data / f"{name}.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"apimgr-{os.getuid()}-{digest}" / f"{name}.sock"


def secret(name: str, data: Path) -> str:
    """A secret of the installation: from ``NAME``, from the file that ``NAME_FILE`` names, else made once in ``data/secrets``.

    Ends the process with one sentence where the value or the file can't be used.
    """
    if value := read(name, "", str, is_secret=True):
        return value
    folder = data / "secrets"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name.lower()
    if not path.exists():
        # Written aside and linked into place: of several processes starting at once, one wins and all read the same.
        made = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        descriptor, draft = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(draft)
    return path.read_text()


def name_server(text: str) -> tuple[str, int]:
    """Address and port of a server of names: ``192.0.2.53``, ``192.0.2.53:5353``, ``2001:db8::53`` or ``[2001:db8::53]:5353``.
    Raises ``ValueError`` for anything else, names among it: who would be asked for theirs?
    """
    try:
        bare, port = str(ip_address(text.strip("[]"))), 53
    except ValueError:
        bare, _, digits = text.rpartition(":")
        port = int(digits) if digits.isascii() and digits.isdigit() else 0
        if not 0 < port < 65536:
            raise ValueError(f"{text!r} is no server of names: write its address, or address:port") from None
        bare = str(ip_address(bare.strip("[]")))
    return bare, port


SENTINEL = "redis+sentinel"


class Sentinels(NamedTuple):
    """What an address of sentinels says; ``login`` is for the server itself: database, and user and password if it
    has any."""

    hosts: list[tuple[str, int]]
    master: str
    login: dict[str, Any]


def sentinels(url: str) -> Sentinels | None:
    """``redis+sentinel://user:password@h1:26379,h2/master/0``, where everything but the first host and the master
    may be missing. ``None``: it is another kind of address. Raises ``ValueError`` where one of those two is."""
    parts = urlsplit(url)
    if parts.scheme != SENTINEL:
        return None
    login, _, addresses = parts.netloc.rpartition("@")
    each = [urlsplit(f"//{address}") for address in addresses.split(",")]
    hosts = [(address.hostname or "", address.port or 26379) for address in each]
    master, _, db = parts.path.strip("/").partition("/")
    if not master or not all(host for host, _ in hosts):
        raise ValueError(f"an address of sentinels is {SENTINEL}://HOST:PORT,HOST:PORT/MASTER")
    user, _, password = login.partition(":")
    named = {"db": int(db or 0), "username": unquote(user) or None, "password": unquote(password) or None}
    return Sentinels(hosts, unquote(master), {name: value for name, value in named.items() if value is not None})


def celery_broker(url: str) -> tuple[str, dict[str, Any]]:
    """An address of ours as Celery reads it, with the transport's options."""
    named = sentinels(url)
    if named is None:
        return url.replace("unix://", "redis+socket://", 1), {}
    login = ":".join(quote(named.login.get(part, ""), safe="") for part in ("username", "password"))
    each = (f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in named.hosts)
    before = f"{login}@" if login != ":" else ""
    addresses = ";".join(f"sentinel://{before}{address}/{named.login['db']}" for address in each)
    waits = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
    return addresses, {"master_name": named.master, "sentinel_kwargs": waits}


def derived(master: str, purpose: str) -> bytes:
    """A 32-byte key for one ``purpose`` from a ``master`` secret, so that no key serves two ends."""
    return hashlib.blake2b(purpose.encode(), key=hashlib.sha256(master.encode()).digest(), digest_size=32).digest()


def seconds(text: str) -> float:
    """A duration such as ``500ms``, ``20s``, ``15m``, ``2h``, ``30d`` or a bare number of seconds, in seconds.

    Raises ``ValueError`` naming the forms that are allowed.
    """
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
    stripped = text.strip().lower()
    number = stripped.rstrip("mshd")
    try:
        value = float(number) * units[stripped[len(number) :]]
    except (KeyError, ValueError):
        raise ValueError(f"{text!r} is not a duration: write 500ms, 20s, 15m, 2h or 30d") from None
    if not 0 <= value < float("inf"):
        raise ValueError(f"{text!r} is not a duration: it must be finite and not negative")
    return value
