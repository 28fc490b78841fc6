"""N4 and affine registration by antspyx, in an environment of its own; called by `bench_classical.py`.

    python classical_ants.py TEMPLATE JOB.json

The job names scans and masks; the answer, one JSON line for each scan, has CPU and wall seconds of N4 and of the
registration, and the map from scan to template in RAS mm.
"""

import json
import os
import resource
import sys
import time

os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"

import ants
import numpy as np

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])  # ITK's x and y point to the left and back


def measured(work):
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    result = work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result, {"cpu": cpu, "wall": time.perf_counter() - began}


def to_matrix(path):
    """Read ITK's affine (fixed to moving, LPS) and return moving to fixed, RAS."""
    transform = ants.read_transform(path)
    values, center = np.array(transform.parameters), np.array(transform.fixed_parameters)
    matrix = np.eye(4)
    matrix[:3, :3] = values[:9].reshape(3, 3)
    matrix[:3, 3] = values[9:] + center - matrix[:3, :3] @ center
    return np.linalg.inv(FLIP @ matrix @ FLIP)


def main():
    template_path, job_path = sys.argv[1:]
    template = ants.image_read(template_path)
    with open(job_path, encoding="utf-8") as file:
        jobs = json.load(file)
    for job in jobs:
        image, mask = ants.image_read(job["image"]), ants.image_read(job["mask"])
        corrected, n4 = measured(lambda i=image, m=mask: ants.n4_bias_field_correction(i, mask=m))
        brain = corrected * mask
        found, affine = measured(
            lambda b=brain: ants.registration(template, b, type_of_transform="Affine", random_seed=1)
        )
        sys.stdout.write(
            json.dumps(
                {"name": job["name"], "n4": n4, "affine": affine, "map": to_matrix(found["fwdtransforms"][0]).tolist(),
                 "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, "version": ants.__version__}
            ) + "\n"
        )  # fmt: skip
        sys.stdout.flush()


if __name__ == "__main__":
    main()
