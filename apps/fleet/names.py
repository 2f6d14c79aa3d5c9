"""Names in the state Redis. Gateways and the control plane both read them from here. Nothing else is imported."""

EPOCH = "apimgr:epoch"  # hash: incarnation, n
PARTS = "apimgr:parts"  # hash: "api:products" -> sealed part
CREDENTIAL = "apimgr:key:"  # + digest -> sealed credential record
EVENTS = "apimgr:events"  # stream: what changed, in order
PURGE_CLOCK = "apimgr:purge:clock"  # counter: the installation's purge clock
PURGES = "apimgr:purge:tags"  # hash: tag -> clock of its last purge
WORKERS = "apimgr:workers"  # hash: worker id -> what it last said of itself
ALLOWANCES = "apimgr:allowance:"  # + subscription id: token bucket and quota
CALLS = "apimgr:calls"  # stream: call records on their way to the database
