"""What made a call its own, and makes no other: the nonces of signed requests, and proofs beside tokens, that a worker took."""

from apps.httpcache.bounded_table import Recent

NONCES_BYTES = 16 * 2**20
"""For nonces that were used, some 60,000 of them."""


class UsedNonces:
    """Each is remembered until what had it is over. A call may ask more than once."""

    def __init__(self) -> None:
        self._calls: Recent[bytes, tuple[str, float]] = Recent(NONCES_BYTES, lambda nonce, call: 256)

    def is_used(self, nonce: bytes, call_id: str, until: float, now: float) -> bool:
        """Whether another call had this nonce, a digest that is one key's; from now on this one has, until ``until`` (Unix
        seconds).
        """
        known = self._calls.get(nonce)
        if known is not None and known[0] != call_id and now < known[1]:
            return True
        self._calls.put(nonce, (call_id, until))
        return False
