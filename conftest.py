"""Set before torch is loaded: one thread a test process, asleep while it waits, since tests run side by side; products
of the same bits for any number of threads, as the command line has them."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")
