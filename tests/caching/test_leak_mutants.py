"""Seeded faults: each would let an answer leak, and each is caught by the checks of ``isolation``.

A fault is one change of the source of one module. The whole core and the checks are imported anew with it, so that the fault is
where a careless edit would put it; around the core, the module and the checks alone.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

PREFIXES = ("apps.httpcache", "tests.caching.isolation", "tests.httpcache.build", "tests.httpcache.exchange")


@dataclass(frozen=True)
class Fault:
    """``old`` stands once in ``module`` (of the core, or by its full name) and becomes ``new``."""

    name: str
    module: str
    old: str
    new: str


FAULTS = [
    Fault("the owner is left out of the key", "plan", "        owned_by,\n    )", '        b"",\n    )'),
    Fault("the scope is left out of the key and not checked", "serving", "!= _owner_under(plan, entry.key)", "is None"),
    Fault("the host is left out of the key", "plan", "        request.host,", '        b"",'),
    Fault("the scheme is left out of the key", "plan", "request.scheme.encode(),", 'b"",'),
    Fault("the API is left out of the key", "plan", "        policy.api.encode(),", '        b"",'),
    Fault("the revision group is left out of the key", "plan", "        policy.group.encode(),", '        b"",'),
    Fault(
        "the query is left out of the key", "plan", "        plan.query,\n        _key", "        None,\n        _key"
    ),
    Fault("the policy's key fields are left out", "plan", "if policy.headers else b", "if False else b"),
    Fault("parts of a key are joined without lengths", "keys", '(len(part).to_bytes(4, "big"), part)', '(b"", part)'),
    Fault(
        "an absent part is taken for an empty one",
        "keys",
        'b"\\xff" if part is None',
        'b"\\x00" + bytes(4) if part is None',
    ),
    Fault("Vary is ignored when storing", "storing", "chosen = selecting(names, plan.request.headers)", "chosen = ()"),
    Fault("Vary is not part of the variant's key", "keys", "        parts += (name, value)\n", "        pass\n"),
    Fault("the variant is not checked", "serving", "if entry.selecting and not matches", "if False and not matches"),
    Fault("Vary: * is ignored", "vary", 'return None if b"*" in names', 'return () if b"*" in names'),
    Fault(
        "only the first line of Vary's fields counts",
        "vary",
        "lines_of(request_headers, name))) for",
        "lines_of(request_headers, name)[:0])) for",
    ),
    Fault("private is ignored", "storing", "if said.private:", "if False:"),
    Fault("no-store is ignored", "storing", "if said.no_store and not understood:", "if False:"),
    Fault(
        "directives are read with regard to case",
        "directives",
        "found.append((name.lower(), None))",
        "found.append((name, None))",
    ),
    Fault("fields named by private are stored", "storing", "said.private_fields", "frozenset()"),
    Fault("Set-Cookie is stored", "storing", "if not plan.policy.store_set_cookie and any(", "if False and any("),
    Fault("a 304's Set-Cookie is stored", "storing", "else PER_CALL | _NO_COOKIES", "else PER_CALL"),
    Fault(
        "credentials are not noticed",
        "plan",
        "        plan.credentialed = True\n",
        "        plan.credentialed = False\n",
    ),
    Fault(
        "credentials don't narrow the scope",
        "identity",
        'return SharingScope.SUBJECT, "credentials forwarded"',
        'return base, "credentials forwarded"',
    ),
    Fault(
        "an anonymous answer is for callers with credentials",
        "serving",
        "if plan.credentialed and entry.scope",
        "if False and entry.scope",
    ),
    Fault("one application's two subjects are merged", "identity", "identity.subject.encode()]", "]"),
    Fault("the credential is not part of the subject", "identity", "        parts += field\n", "        pass\n"),
    Fault(
        "only the last of repeated credentials counts",
        "plan",
        'noticed[name] + b", " + value if name in noticed else value',
        "value",
    ),
    Fault("credentials are taken without their field's name", "identity", "parts += field\n", "parts += field[1:]\n"),
    Fault(
        "two applications are merged",
        "identity",
        "return identity.application.encode() or None",
        "return identity.tenant.encode() or None",
    ),
    Fault("two tenants are merged", "identity", "return identity.tenant.encode() or None", 'return b"t"'),
    Fault(
        "what the upstream is told is forgotten",
        "identity",
        "max(_OF_POLICY[policy.scope], identity.told)",
        "_OF_POLICY[policy.scope]",
    ),
    Fault(
        "the policy's scope is forgotten", "identity", "max(_OF_POLICY[policy.scope], identity.told)", "identity.told"
    ),
    Fault(
        "personal answers are shared",
        "identity",
        "    if policy.sensitivity == PERSONAL:\n        return SharingScope.SUBJECT\n",
        "",
    ),
    Fault(
        "personal answers are not marked for encryption",
        "storing",
        "personal=policy.sensitivity == PERSONAL",
        "personal=False",
    ),
    Fault(
        "caches behind us share what is personal",
        "downstream",
        "return PRIVATE if policy.sensitivity == PERSONAL and policy.downstream == PASS else policy.downstream",
        "return policy.downstream",
    ),
    Fault("personal answers are kept for long", "storing", "now + PERSONAL_LIFETIME if", "now + 3600 if"),
    Fault(
        "the switch for credentials is always on", "identity", "    if policy.share_with_credentials:", "    if True:"
    ),
    Fault(
        "a caller's refusal is kept for all",
        "freshness",
        "PASSING_ERRORS = frozenset({500,",
        "PASSING_ERRORS = frozenset({403, 500,",
    ),
    Fault(
        "a path parameter leaves an operation's policy",
        "patterns",
        'segment.partition(b";")[0] for segment',
        "segment for segment",
    ),
    Fault(
        "an empty segment leaves an operation's policy",
        "patterns",
        "for segment in found if segment]",
        "for segment in found]",
    ),
    Fault(
        "an encoded slash leaves an operation's policy",
        "patterns",
        "for segment in _SLASH.split(path)]",
        'for segment in path.split(b"/")]',
    ),
    Fault(
        "an encoded character leaves an operation's policy",
        "patterns",
        "unquote_to_bytes(_SEMICOLON.split(segment, maxsplit=1)[0])",
        "_SEMICOLON.split(segment, maxsplit=1)[0]",
    ),
    Fault("secret answers are stored", "plan", "if policy.sensitivity == SECRET:", "if False:"),
    Fault(
        "the check of scope and owner is skipped", "serving", "        return Reason.SCOPE_MISMATCH\n", "        pass\n"
    ),
    Fault(
        "a failure hands out a stranger's answer",
        "serving",
        "stored is None or may_use(plan, stored.entry) is not None or",
        "stored is None or",
    ),
    Fault(
        "a 304 confirms a stranger's answer",
        "storing",
        "if stored is not None and may_use(plan, stored.entry) is not None:",
        "if False:",
    ),
    Fault(
        "a 304 widens who may have the answer",
        "storing",
        "fresh is None or fresh.scope < entry.scope:",
        "fresh is None:",
    ),
    Fault(
        "waiters of all scopes share",
        "storing",
        "plan.bypass is None and may_use(plan, decision.entry) is None",
        "plan.bypass is None",
    ),
    Fault("all subjects wait for one call", "plan", "plan.fetch_key = plan.keys[-1]", "plan.fetch_key = plan.keys[0]"),
    Fault(
        "an encoded slash is decoded",
        "normalise",
        "return bytes((byte,)) if byte in _UNRESERVED else",
        "return bytes((byte,)) if byte in _UNRESERVED or byte == 47 else",
    ),
    Fault(
        "what isn't keyed is forwarded",
        "plan",
        "plan.query = select_query(request.query, policy.query_mode, policy.query_names)",
        "plan.query = request.query",
    ),
    Fault(
        "fields that the origin may echo are forwarded", "plan", "UNKEYED_ECHOES.difference(", "frozenset().difference("
    ),
    Fault(
        "the body is left out of the key",
        "plan",
        "return parts if plan.body is None else parts + plan.body",
        "return parts",
    ),
    Fault("the method is left out of the key", "plan", "        _CLASSES[request.method],", '        b"GET",'),
    Fault(
        "what the body is, is left out of the key",
        "request_body",
        "        content_type(headers),\n        content_enc",
        "        None,\n        content_enc",
    ),
    Fault("what else describes the body is left out", "request_body", "        others += field\n", "        pass\n"),
    Fault("of a name that occurs twice the last counts", "canonical", "if len(found) != len(pairs):", "if False:"),
    Fault("numbers are rounded", "canonical", "if Decimal(repr(nearest)) != value:", "if False:"),
    Fault("fractions are rounded", "canonical", "if Decimal(repr(value)) != Decimal(literal):", "if False:"),
    Fault("a mutation is taken for a query", "plan", "if isinstance(request.graphql, Reason):", "if False:"),
    Fault(
        "a mutation ends nothing",
        "plan",
        "return policy.body == GRAPHQL and not isinstance",
        "return False and not isinstance",
    ),
    Fault("what Connection lists selects a variant", "plan", "    if listed:\n", "    if False:\n"),
    Fault("values of one name are sorted too", "normalise", "if part), key=_decoded_name)", "if part))"),
    Fault("a part is stored as the whole", "storing", "if status == 206 or", "if status == 299 or"),
    Fault("an answer to HEAD is stored", "storing", 'if plan.request.method == "HEAD":', "if False:"),
    Fault("fields of one call are stored", "storing", "end_to_end(headers, PER_CALL, {b", "end_to_end(headers, {b"),
    Fault(
        "hop-by-hop fields are stored",
        "fields",
        "return without(headers, HOP_BY_HOP, connection_listed(headers), *unwanted)",
        "return without(headers, *unwanted)",
    ),
]


AROUND = [
    Fault(
        "who waited gets a stranger's stored answer",
        "apps.gateway.fetch.coalescer",
        "if collapsed and may_use(",
        "if False and (",
    ),
    Fault(
        "who waited gets what a stranger's call fetched",
        "apps.gateway.fetch.coalescer",
        "not httpcache.may_share(plan, outcome.store) or not",
        "not",
    ),
    Fault(
        "a look-up's answer is handed to another variant",
        "apps.gateway.fetch.lookups",
        "return may_use(plan, found.stored.entry) is None",
        "return True",
    ),
    Fault(
        "the right to fetch is handed to another variant",
        "apps.gateway.fetch.lookups",
        "return found.missed is not httpcache.Reason.VARY_MISMATCH",
        "return True",
    ),
    Fault(
        "another worker's answer is taken unchecked",
        "apps.gateway.fetch.leadership",
        "and may_use(plan, stored.entry) is None",
        "and True",
    ),
    Fault(
        "what was there before is taken for what was fetched",
        "apps.gateway.fetch.leadership",
        "(known is None or stored.entry.validated_at > known.entry.validated_at)",
        "True",
    ),
    Fault(
        "a warm-up's token is good for every API",
        "apps.wire.warm_up_token",
        "scheme.encode(), api.encode(), target)",
        'scheme.encode(), b"", target)',
    ),
    Fault(
        "a warm-up's token is good for every target",
        "apps.wire.warm_up_token",
        "api.encode(), target)\n",
        'api.encode(), b"")\n',
    ),
    Fault("a warm-up's token never ends", "apps.wire.warm_up_token", "not now < expires <= now + 2 * LIFE", "False"),
    Fault(
        "a warm-up's token's end is the caller's to say",
        "apps.wire.warm_up_token",
        'b"%d.%b.%b.%b" % (expires, ',
        'b"%b.%b.%b" % (',
    ),
    Fault("a warm-up's token needs no key", "apps.wire.warm_up_token", "key=master, digest_size=32", "digest_size=32"),
    Fault("a warm-up may write", "apps.gateway.pipeline.warm_up_calls", ' or x.method not in ("GET", "HEAD")', ""),
    Fault("the origin is told the token", "apps.gateway.pipeline.stages.route", "        HEADER,\n", ""),
    Fault(
        "names that an origin folds go on",
        "apps.gateway.pipeline.stages.route",
        "if name.translate(None, _PLAIN) or name in _OURS:",
        "if name in _OURS:",
    ),
    Fault(
        "a key goes on in another field",
        "apps.gateway.pipeline.stages.route",
        "return without_keys(without_crumb(tuple(taken), cookie) if cookie else tuple(taken))",
        "return tuple(taken)",
    ),
    Fault(
        "what is one caller's is pushed for all",
        "apps.warming.write_through",
        "if plan.base is not httpcache.SharingScope.SHARED or plan.credentialed:",
        "if False:",
    ),
    Fault(
        "any caller's push is for an origin that sees keys",
        "apps.warming.write_through",
        "plan = plan_call(api, request, _CALLER)",
        "plan = plan_call(api, request, None)",
    ),
    Fault("the policy of another path is used", "apps.wire.snapshot", " and matches(each.pattern, segments):", ":"),
    Fault(
        "the policy of another method is used",
        "apps.wire.snapshot",
        "if (not each.methods or method in each.methods) and ",
        "if ",
    ),
    Fault(
        "an origin that sees keys is taken for one that doesn't",
        "apps.gateway.pipeline.cache_plan",
        "httpcache.SharingScope.SUBJECT if api.forward_credential else httpcache.SharingScope.SHARED",
        "httpcache.SharingScope.SHARED",
    ),
    Fault(
        "a body is keyed by its beginning",
        "apps.gateway.call.keyed_body",
        "                        return\n",
        "                        break\n",
    ),
    Fault(
        "what is personal is stored in clear",
        "apps.cachestore.serializer",
        "            if value.personal:\n",
        "            if False:\n",
    ),
    Fault(
        "a planted answer is taken",
        "apps.cachestore.serializer",
        "if not hmac.compare_digest(mac, self._mac(kind, payload)):",
        "if False:",
    ),
]
"""Faults around the core, each against the checks of ``isolation_around``."""


class _Seeded(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds one module with a fault."""

    def __init__(self, fault: Fault, name: str) -> None:
        self.name = name
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        file = Path(spec.origin)
        source = file.read_text()
        assert source.count(fault.old) == 1, f"{fault.name}: {source.count(fault.old)} places"
        self.code = compile(source.replace(fault.old, fault.new), str(file), "exec")

    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == self.name else None

    def create_module(self, spec: object) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        exec(self.code, module.__dict__)


@contextmanager
def _imported_anew(names: Iterable[str], seeded: _Seeded) -> Iterator[None]:
    """Whoever imports ``names`` within gets new modules, one of them with its fault; afterwards all is as it was: what
    was imported meanwhile is forgotten, also where a package names its modules.
    """
    packages = [(sys.modules[package], short) for package, _, short in (name.rpartition(".") for name in names)]
    # Not always the module: ``httpcache.cache_status`` is a function of the module's name.
    named = [(package, short, getattr(package, short)) for package, short in packages]
    before = dict(sys.modules)
    for name in names:
        del sys.modules[name]
    sys.meta_path.insert(0, seeded)
    try:
        yield
    finally:
        sys.meta_path.remove(seeded)
        for name in sys.modules.keys() - before.keys():
            if name.startswith(("apps.", "tests.")):
                del sys.modules[name]
        sys.modules.update(before)
        for package, short, value in named:
            setattr(package, short, value)


def _caught_by(fault: Fault) -> list[str]:
    """The checks that fail with the fault."""
    importlib.import_module("tests.caching.isolation")
    names = [name for name in sys.modules if name.startswith(PREFIXES)]
    with _imported_anew(names, _Seeded(fault, f"apps.httpcache.{fault.module}")):
        return _failing(importlib.import_module("tests.caching.isolation").CHECKS)


def _caught_around_by(fault: Fault) -> list[str]:
    """The checks around the core that fail with the fault; everything else stays imported."""
    names = (fault.module, "tests.caching.isolation_around")
    for name in names:
        importlib.import_module(name)
    with _imported_anew(names, _Seeded(fault, fault.module)):
        importlib.import_module(fault.module)
        return _failing(importlib.import_module(names[1]).CHECKS)


def _failing(checks: Iterable[Callable[[], None]]) -> list[str]:
    failed = []
    for check in checks:
        try:
            check()
        except Exception:  # a crash is caught as surely as a wrong answer
            failed.append(check.__name__)
    return failed


@pytest.mark.parametrize("fault", AROUND, ids=lambda fault: fault.name)
def test_a_seeded_fault_around_the_core_is_caught(fault):
    assert _caught_around_by(fault)


def test_without_a_fault_around_the_core_nothing_is_caught():
    assert _caught_around_by(Fault("none", "apps.wire.warm_up_token", "LIFE = 60", "LIFE = 59")) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_seeded_fault_is_caught(fault):
    assert _caught_by(fault)


def test_without_a_fault_nothing_is_caught():
    assert _caught_by(Fault("none", "keys", 'VERSION = b"\\x01"', 'VERSION = b"\\x02"')) == []
