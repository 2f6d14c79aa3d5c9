"""Why a token opens nothing: a closed list, which gateways record and say to callers."""

from enum import Enum


class TokenFault(Enum):
    """``code`` is stable, and stands in the trace of a call; ``sentence`` says it to a person."""

    code: str
    sentence: str

    def __new__(cls, code: str, sentence: str) -> "TokenFault":
        member = object.__new__(cls)
        member._value_ = code
        member.code, member.sentence = code, sentence
        return member

    # What it is.
    MALFORMED = "token_malformed", "The token is malformed."
    TOO_LARGE = "token_too_large", "The token is too large."
    NOT_SUPPORTED = (
        "token_not_supported",
        "The token is encrypted, nested, or has extensions that are not supported here.",
    )
    WRONG_TYPE = "token_wrong_type", "The token is of another type than access tokens are."
    BOUND = "token_bound", "The token is bound to a key of its client, which can't be proved here."

    # Whose it is.
    UNKNOWN_ISSUER = "token_unknown_issuer", "This API takes no tokens of the token's issuer."
    ISSUER_AWAY = "token_issuer_away", "The keys of the token's issuer can't be had at the moment."
    WRONG_ALGORITHM = "token_wrong_algorithm", "The token is signed with an algorithm that its issuer may not use."
    UNKNOWN_KEY = "token_unknown_key", "The token's issuer has no such key."
    WRONG_SIGNATURE = "token_wrong_signature", "The token's signature is wrong."

    # What an introspection server says of it, if it does.
    INACTIVE = "token_inactive", "The token is not active."
    SERVER_UNKNOWN = "introspection_unknown", "The server that knows this API's tokens is unknown here."
    NOT_ASKED = "introspection_not_asked", "What the token is worth is asked by gateways alone, when a call comes."
    SERVER_AWAY = "introspection_away", "The server that knows this API's tokens can't be asked at the moment."
    SERVER_BUSY = "introspection_busy", "Too many tokens wait for the server that knows this API's tokens."
    SERVER_REFUSES = "introspection_refused", "The server that knows this API's tokens doesn't let the gateway ask."
    SERVER_INVALID = "introspection_invalid", "The response of the server that knows this API's tokens is invalid."
    NO_KEY_TO_ASK = (
        "introspection_key_unusable",
        "The gateway's key for the server that knows this API's tokens is unusable.",
    )
    TOO_MANY_FAILED = "introspection_too_many_failed", "Too many tokens that open nothing came from this address."

    # What it says.
    NO_END = "token_no_end", "The token doesn't say when it expires."
    EXPIRED = "token_expired", "The token has expired."
    REVOKED = "token_revoked", "The token was revoked."
    NOT_YET_VALID = "token_not_yet_valid", "The token is not valid yet."
    WRONG_AUDIENCE = "token_wrong_audience", "The token is meant for somebody else."
    NO_CLIENT = "token_no_client", "The token doesn't name a client."
    UNKNOWN_CLIENT = "token_unknown_client", "No application has the client ID of this token."
    MISSING_SCOPE = "token_missing_scope", "The token lacks a scope that this call needs."
    MISSING_CLAIM = "token_missing_claim", "The token lacks a claim that this API needs, or has another value in it."

    # Who holds it (RFC 9449).
    NO_PROOF = "token_no_proof", "The token must come with one DPoP proof, under the scheme DPoP."
    WRONG_PROOF = "token_wrong_proof", "The DPoP proof is not for this call and this token."
    OLD_PROOF = "token_old_proof", "The DPoP proof is not of this minute."
    USED_PROOF = "token_used_proof", "The DPoP proof has been used before."
