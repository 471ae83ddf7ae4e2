"""cornac in its own environment: ``on_cornac.py TASK DATA THREADS``; see ``benchmarks/peers.py`` for the protocol."""

import json
import sys
import time

import numpy as np
from cornac.data import Dataset
from cornac.eval_methods.base_method import ranking_eval
from cornac.metrics import NDCG, Recall
from cornac.models import BPR

USERS = 200
task, threads, data = sys.argv[1], int(sys.argv[3]), np.load(sys.argv[2])
n_users, n_items = data["shape"]
names = {i: i for i in range(n_users)}, {i: i for i in range(n_items)}


def dataset(pairs):
    triples = [(int(u), int(i), 1.0) for u, i in pairs.T]
    return Dataset.build(triples, global_uid_map=dict(names[0]), global_iid_map=dict(names[1]))


train = dataset(data["train"])
made = {"k": 64, "learning_rate": 0.05, "lambda_reg": 0.001, "num_threads": threads, "seed": 0}


def fit(epochs):
    model = BPR(max_iter=epochs, **made)
    started = time.perf_counter()
    model.fit(train)
    return time.perf_counter() - started, model


if task == "bpr epoch":
    _, model = fit(10)
    item = np.concatenate([model.i_factors, model.i_biases[:, None]], 1)
    user = np.concatenate([model.u_factors, np.ones((len(model.u_factors), 1))], 1)
    np.savez(sys.argv[2] + ".cornac.npz", user=user.astype(np.float32), item=item.astype(np.float32))
else:
    start = {"U": data["user"], "V": data["item"], "Bi": np.zeros(n_items, np.float32)}
    model = BPR(max_iter=0, trainable=False, init_params=start, **made)
    model.fit(train)
    wanted = np.unique(data["test"][0])[:: max(1, len(np.unique(data["test"][0])) // USERS)][:USERS]
    test = dataset(data["test"][:, np.isin(data["test"][0], wanted)])
    share = len(np.unique(data["test"][0])) / len(wanted)
print(json.dumps({"ready": True}), flush=True)
for _ in sys.stdin:
    values = {}
    if task == "bpr epoch":
        seconds = (fit(6)[0] - fit(1)[0]) / 5
    else:
        started = time.perf_counter()
        found, _ = ranking_eval(model, [Recall(k=20), NDCG(k=20)], train, test)
        seconds = (time.perf_counter() - started) * share
        values = {"recall": found[0], "ndcg": found[1]}
    print(json.dumps({"seconds": seconds, "values": {k: float(v) for k, v in values.items()}}), flush=True)
