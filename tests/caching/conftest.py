"""Property tests have no deadline: how long an example takes on a busy machine says nothing of the core."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
