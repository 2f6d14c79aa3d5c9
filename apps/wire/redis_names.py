"""Names in the state Redis. Gateways and the control plane both read them from here. Nothing else is imported."""

EPOCH = "apimgr:epoch"  # hash: incarnation, n, step (of a push under way), seq (of the last event), edition
PARTS = "apimgr:parts"  # + incarnation, hash: "api:products" -> sealed part
CREDENTIAL = "apimgr:key:"  # + incarnation and digest -> sealed credential record
EVENTS = "apimgr:events"  # stream: what changed, in order; an event's id is incarnation-seq
MISTRUST = "apimgr:mistrust"  # set by a worker that knows more than Redis does: Redis came back older
REFILLER = "apimgr:refiller"  # token of the process that is writing everything anew
CELERY = "apimgr:celery"  # when a Celery worker last ran a tick, Unix seconds; gone when that is long ago
FOLDED = "apimgr:purge:folded"  # there while old purges were folded lately
FORWARDING = "apimgr:forwarding"  # there while a process forwards purges to CDNs
PURGE_CLOCK = "apimgr:purge:clock"  # counter: the installation's purge clock
PURGES = "apimgr:purge:tags"  # hash: tag -> clock of its last purge
WORKERS = "apimgr:workers"  # hash: worker id -> what it last said of itself
ALLOWANCES = "apimgr:allowance:"  # + subscription id: token bucket and quota
CALLS = "apimgr:calls"  # stream: call records on their way to the database
CALLS_GROUP = "ingestion"  # its consumer group
CALLS_TAKEN = "apimgr:calls:taken"  # hash: incarnation -> JSON [[first, last], ...]: frames settled in the database
CALLS_WRITTEN = "apimgr:calls:written"  # hash: incarnation -> JSON [last frame, time of the oldest unsettled, now]
CALLS_LOCK = "apimgr:calls:ingesting"  # who ingests now
WARMING = "apimgr:warming"  # who works on warm-ups now
COPIES = "apimgr:copies"  # hash: id of a disk copy -> what its agent last said of it
SECURITY_EVENT = "apimgr:security-event:"  # + hash of issuer and ID: there while the same token could be taken again
AGENTS = "apimgr:agents"  # hash: node -> JSON of what its agent last said of its spool


def parts(incarnation: int) -> str:
    """The hash of the snapshot's parts in one incarnation of the state."""
    return f"{PARTS}:{incarnation}"


def credential(incarnation: int, digest: str) -> str:
    """Where the credential record of the key with this ``digest`` is, in one incarnation of the state."""
    return f"{CREDENTIAL}{incarnation}:{digest}"
