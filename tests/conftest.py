"""What every test stands on: its own data directory, two real Valkeys, and settings that point at them."""

import atexit
import os
import shutil
import tempfile

# Before Django reads its settings: nothing of the developer's own installation may be touched.
_data = tempfile.mkdtemp(prefix="apimgr-tests-")
atexit.register(shutil.rmtree, _data, True)
os.environ["APIMGR_DATA"] = _data
for _name in ("REDIS_URL", "CACHE_REDIS_URL"):
    os.environ.pop(_name, None)
