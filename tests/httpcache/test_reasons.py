"""Reasons: stable codes that fit a Structured Fields token (RFC 9211 §2.8), with a sentence each."""

import re

from apps.httpcache import Reason


def test_codes_are_unique_tokens_and_sentences_are_sentences():
    codes = [reason.code for reason in Reason]
    assert len(set(codes)) == len(codes) == len(Reason.__members__)
    for reason in Reason:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", reason.code)
        assert re.fullmatch(r"[A-Z].+\.", reason.sentence)
        assert reason.value == reason.code
        assert Reason(reason.code) is reason
