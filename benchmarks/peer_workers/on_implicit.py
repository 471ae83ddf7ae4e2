"""implicit in its own environment: ``on_implicit.py TASK DATA THREADS``; the protocol is in ``benchmarks/peers.py``."""

import json
import sys
import time

import numpy as np
from implicit.bpr import BayesianPersonalizedRanking
from implicit.evaluation import ranking_metrics_at_k
from scipy.sparse import csr_matrix

task, threads, data = sys.argv[1], int(sys.argv[3]), np.load(sys.argv[2])
shape = tuple(data["shape"])


def matrix(pairs):
    m = csr_matrix((np.ones(pairs.shape[1], np.float32), (pairs[0], pairs[1])), shape=shape)
    m.indices, m.indptr = m.indices.astype(np.int32), m.indptr.astype(np.int32)
    return m


train, test = matrix(data["train"]), matrix(data["test"])
model = BayesianPersonalizedRanking(
    factors=64, learning_rate=0.05, regularization=0.001, iterations=10, num_threads=threads, random_state=0
)


def fit(epochs):
    model.iterations = epochs
    started = time.perf_counter()
    model.fit(train, show_progress=False)
    return time.perf_counter() - started


if task == "bpr epoch":
    fit(10)
    np.savez(sys.argv[2] + ".implicit.npz", user=model.user_factors, item=model.item_factors)
else:
    model.user_factors, model.item_factors = data["user"], data["item"]
print(json.dumps({"ready": True}), flush=True)
for _ in sys.stdin:
    values = {}
    if task == "bpr epoch":
        # less what a call takes besides its epochs
        seconds = (fit(6) - fit(1)) / 5
    else:
        started = time.perf_counter()
        values = ranking_metrics_at_k(model, train, test, K=20, show_progress=False, num_threads=threads)
        seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "values": {k: float(v) for k, v in values.items()}}), flush=True)
