"""What becomes of calls and everything else while a part is away: the table that the architecture promises."""

_COLUMNS = ("calls", "cache", "limits", "keys", "records", "console")

_ROWS: dict[str, tuple[str, str, str, str, str, str]] = {
    "state": (
        "Served within the trust lease",
        "Works",
        "A local share, flagged",
        "Known ones within the lease, then 503",
        "Spooled on disk",
        "Works, says so",
    ),
    "cache": ("Served", "In-process tier, then the upstream", "Work", "Work", "Work", "Says so"),
    "database": (
        "Served",
        "Works",
        "Work",
        "Work; no new decisions",
        "In the stream until it is back",
        "An error page that says so",
    ),
    "celery": ("Served", "Works", "Work", "Work", "In the stream; dashboards say how late they are", "Works"),
    "upstreams": (
        "Stale within the policy's bound, else 502 or 504",
        "Keeps good entries",
        "A failed call costs what the plan says",
        "Work",
        "Recorded with the cause",
        "Shows it",
    ),
    "gateways": (
        "The others serve",
        "The shared tier stays",
        "Its allowances run out",
        "Receipts name a time",
        "Its spool is shipped by the agent or at its next start",
        "Shows it",
    ),
    "disk": ("Served", "Works", "Work", "Work", "Bounded, counted, shown", "Shows it"),
}

CONSEQUENCES: dict[str, dict[str, str]] = {part: dict(zip(_COLUMNS, row, strict=True)) for part, row in _ROWS.items()}
"""By part, then by what it concerns."""
