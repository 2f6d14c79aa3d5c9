"""``python -m tests.caching.conformance``: all checks with one worker and two, L1 on and off; prints what isn't met.

With ``--gateway PORT --origin PORT`` they go through a gateway that is running, under the real clock: its API ``/checked/`` has
no authentication, ``store_set_cookie`` on, and the upstream ``http://127.0.0.1:<origin>/origin``. ``-v`` prints the questions too.
"""

import argparse
import asyncio
import logging
import os
import tempfile
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


def main() -> int:
    """Exit status 1 where fewer than 157 required or 90 optimal checks are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gateway", type=int)
    parser.add_argument("--origin", type=int)
    parser.add_argument("-v", action="store_true", dest="verbose")
    asked = parser.parse_args()

    import django

    django.setup()
    logging.disable(logging.ERROR)  # connections that end with their gateway
    from tests.caching.conformance.run import Results, run, run_live
    from tests.caching.conformance.table import OPTIMAL, QUESTION, REQUIRED

    def enough(title: str, results: Results) -> bool:
        print(f"{title}: {results}")
        for kind in (REQUIRED, OPTIMAL, *([QUESTION] if asked.verbose else [])):
            for name, said in results.failed(kind).items():
                print(f"    {kind} {name}: {said}")
        return results.passed(REQUIRED) >= 157 and results.passed(OPTIMAL) >= 90

    if asked.gateway:
        from tests.gateway.house import Origin

        async def live() -> Results:
            async with Origin(asked.origin) as origin:
                return await run_live(asked.gateway, origin)

        return not enough("running gateway", asyncio.run(live()))

    from tests.conftest import running_valkeys
    from tests.httpcache.on_sockets import Site

    met = []
    with running_valkeys():
        for workers, l1_bytes in ((1, 8 * 2**20), (1, 0), (2, 8 * 2**20), (2, 0)):
            with tempfile.TemporaryDirectory() as folder, Site(Path(folder), workers, l1_bytes) as site:
                results = run(site)
            met.append(enough(f"{workers} worker(s), L1 {'on' if l1_bytes else 'off'}", results))
    return not all(met)


if __name__ == "__main__":
    raise SystemExit(main())
