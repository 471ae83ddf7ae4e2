"""Loading a large log: wall time and peak memory of ``read_interactions`` on a generated CSV.

    python benchmarks/load_log.py --rows 20_000_000 --threads 2

The file has string ids of users (1 M) and items (200 k) with a skewed popularity, and a time in seconds.
The log is read in a process of its own, so that the peak is that of reading alone. Goal: 20 M rows
within 1.5 GB and 90 s on two cores. One JSON line is printed; a wrong row count prints none.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

READ = """
import json, resource, sys, time
start = time.perf_counter()
from taurec.data.readers import read_log
loaded = time.perf_counter()
log, report = read_log(sys.argv[1])
end = time.perf_counter()
used = resource.getrusage(resource.RUSAGE_SELF)
peak = used.ru_maxrss / 1024
print(json.dumps({"seconds": round(end - loaded, 2), "import_seconds": round(loaded - start, 2), "peak_mb": round(peak),
                  "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
                  "rows": report.rows, "kept": report.kept, "merged": report.merged, "exact": report.exact,
                  "users": log.n_users, "items": log.n_items}))
"""


def generate(path: Path, rows: int, users: int, items: int, gz: bool = False) -> None:
    """Write ``rows`` interactions as CSV with a header, a million at a time."""
    import gzip

    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    with gzip.open(path, "wb", compresslevel=1) if gz else path.open("wb") as out:
        out.write(b"user_id,item_id,timestamp\n")
        for at in range(0, rows, 1_000_000):
            n = min(1_000_000, rows - at)
            frame = pl.DataFrame(
                {
                    "u": np.floor(users * rng.random(n) ** 2).astype(np.int64),
                    "i": np.floor(items * rng.random(n) ** 3).astype(np.int64),
                    "t": rng.integers(1_600_000_000, 1_700_000_000, n),
                }
            ).select(
                pl.format("user-{}", pl.col("u").cast(pl.String).str.zfill(8)),
                pl.format("item-{}", pl.col("i").cast(pl.String).str.zfill(7)),
                "t",
            )
            out.write(frame.write_csv(include_header=False).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--items", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gz", action="store_true", help="pack the file with gzip")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("log.csv.gz" if given.gz else "log.csv")
        generate(path, given.rows, given.users, given.items, given.gz)
        env = {**os.environ, "POLARS_MAX_THREADS": str(given.threads), "OMP_NUM_THREADS": str(given.threads)}
        start = time.perf_counter()
        run = subprocess.run([sys.executable, "-c", READ, str(path)], env=env, capture_output=True, text=True)
        if run.returncode:
            sys.exit(run.stderr)
        result = json.loads(run.stdout)
        if result["rows"] != given.rows or result["kept"] + result["merged"] != given.rows:
            sys.exit(f"wrong row count: {result}")
        facts = {"case": "load_log", "mb": round(path.stat().st_size / 1e6), "threads": given.threads}
        facts |= {"process_seconds": round(time.perf_counter() - start, 2), "python": platform.python_version()}
        print(json.dumps({**facts, **result}))


if __name__ == "__main__":
    main()
