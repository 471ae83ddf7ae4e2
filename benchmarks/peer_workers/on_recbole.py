"""RecBole in its own environment: ``on_recbole.py TASK DATA THREADS``; see ``benchmarks/peers.py`` for the protocol.

RecBole 1.2.1 uses names that numpy and scipy have dropped since; they are set here before it is imported.
"""

import itertools
import json
import os
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")

import numpy as np
import scipy.sparse
import torch

if not hasattr(scipy.sparse.dok_matrix, "_update"):
    # what scipy before 1.13 had: set entries without a check
    scipy.sparse.dok_matrix._update = lambda matrix, entries: matrix._dict.update(entries)

GONE = {"float": float, "int": int, "bool": bool, "object": object, "long": int, "unicode": str, "complex": complex}
GONE |= {"float_": np.float64, "complex_": np.complex128, "unicode_": np.str_}
for name, value in GONE.items():
    if name not in np.__dict__:
        setattr(np, name, value)

task, path, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
sys.argv = sys.argv[:1]  # RecBole reads the command line itself

from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

data, out = np.load(path), sys.stdout
sys.stdout = sys.stderr
folder = tempfile.TemporaryDirectory()
os.mkdir(f"{folder.name}/log")
for part, pairs in (("train", data["train"]), ("valid", data["test"]), ("test", data["test"])):
    with open(f"{folder.name}/log/log.{part}.inter", "w") as file:
        file.write("user_id:token\titem_id:token\n")
        file.writelines(f"{u}\t{i}\n" for u, i in pairs.T)
settings = {
    "data_path": folder.name, "benchmark_filename": ["train", "valid", "test"], "use_gpu": False, "n_layers": 3,
    "load_col": {"inter": ["user_id", "item_id"]}, "epochs": 1, "train_batch_size": 2048, "embedding_size": 64,
    "metrics": ["Recall", "NDCG"], "topk": [20], "valid_metric": "Recall@20", "show_progress": False, "state": "ERROR",
    "eval_args": {"split": None, "order": "RO", "group_by": "user", "mode": "full"}, "eval_batch_size": 1 << 25,
    "checkpoint_dir": folder.name,
}  # fmt: skip
config = Config(model="LightGCN" if task == "lightgcn step" else "BPR", dataset="log", config_dict=settings)
init_seed(0, True)
dataset = create_dataset(config)
train, _, test = data_preparation(config, dataset)
model = get_model(config["model"])(config, train.dataset)
trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
torch.set_num_threads(threads)
user_at, item_at = (torch.tensor([int(t) for t in train.dataset.field2id_token[f][1:]]) for f in ("user_id", "item_id"))


def steps(n):
    model.train()
    for batch in itertools.islice(train, n):
        trainer.optimizer.zero_grad()
        model.calculate_loss(batch).backward()
        trainer.optimizer.step()


if task == "bpr epoch":
    for epoch in range(10):
        trainer._train_epoch(train, epoch)
    user, item = torch.zeros(int(data["shape"][0]), 64), torch.zeros(int(data["shape"][1]), 64)
    user[user_at], item[item_at] = model.user_embedding.weight.data[1:], model.item_embedding.weight.data[1:]
    np.savez(path + ".recbole.npz", user=user.numpy(), item=item.numpy())
elif task == "evaluation":
    model.user_embedding.weight.data[1:] = torch.from_numpy(data["user"])[user_at]
    model.item_embedding.weight.data[1:] = torch.from_numpy(data["item"])[item_at]
else:
    steps(3)
print(json.dumps({"ready": True}), file=out, flush=True)
for _ in sys.stdin:
    values, started, times = {}, time.perf_counter(), 1
    if task == "bpr epoch":
        trainer._train_epoch(train, 10)
    elif task == "evaluation":
        found = trainer.evaluate(test, load_best_model=False)
        values = {"recall": found["recall@20"], "ndcg": found["ndcg@20"]}
    else:
        times = 5
        steps(times)
    seconds = (time.perf_counter() - started) / times
    print(json.dumps({"seconds": seconds, "values": {k: float(v) for k, v in values.items()}}), file=out, flush=True)
