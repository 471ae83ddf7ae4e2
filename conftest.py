"""Set before torch is loaded: one thread a test process, asleep while it waits, since tests run side by side."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
