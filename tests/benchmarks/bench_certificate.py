"""How often the leak certificate misses a second scan of one person, and takes two people for one. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_certificate.py [--people 70] [--of-labels 28] [--cache FOLDER] [--seed 11]

Three cohorts on the builtin model's grid, in each of which every scan goes by an id of its own:

- `template`: simulated people of one template, each with two visits a year apart on two of four scanners: other contrast,
  bias, noise and brain mask, another misalignment (drawn as the simulator draws it), a year of atrophy
- `labels`: the same of the whole-head label maps of the test data, so that several people have the anatomy of one
- `ixi`: 59 real people, and pseudo-rescans of ten of them (bench_rescans.py); those are milder than a real second visit

A pair of one person is missed if the first look does not find it, or its correlation after the fit is not above the limit. A false
alarm is a pair of two people that would be refused; every pair is looked at. The share of people with a false alarm is counted too. Pairs are not independent: intervals
over pairs (Wilson) are as if they were. What was simulated is kept, so a stopped run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from prepared_heads import read_head, ready_ixi, spread_over_age, stem
from readings import common_options, share
from real_scans import DATA, ixi, say
from scipy import stats

from adclip.domain import InputContract
from adclip.imaging.steps.grid import to_model_order
from adclip.model.bases import read_base
from adclip.prediction.dataset import QUANTUM, Cohort
from adclip.training.alike import CANDIDATES, FIT_MM, LOOK_MM, find_nearest, fit_pairs, patterns_of
from adclip.training.certificate import NEAR_DUPLICATE

RESCANNED = 10
SITES, MONTHS = 4, 12
Scans = list[tuple[str, NDArray[np.int16]]]


def main() -> None:
    parser = common_options(__doc__)
    parser.add_argument("--people", type=int, default=70)
    parser.add_argument("--of-labels", type=int, default=28)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    torch.set_num_threads(1)
    contract = read_base("builtin").config.contract
    maps = sorted((DATA / "synthseg_labels").glob("*.nii.gz"))
    say(f"limit {NEAR_DUPLICATE}, {CANDIDATES} pairs a scan")
    cohorts = (
        ("template", [None], options.people, options.seed),
        ("labels", maps, options.of_labels, options.seed + 1),
    )
    for name, sources, people, seed in cohorts:
        if sources and people:
            report(name, simulated(options.cache / f"twins-{name}", sources, people, seed, contract), contract)
    if ixi():
        report("ixi", real(options.cache, contract), contract)


def to_stored(image: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.round(to_model_order(image) * QUANTUM).astype(np.int16)


def simulated(folder: Path, sources: list[Path | None], people: int, seed: int, contract: InputContract) -> Scans:
    """Both visits of each person, simulated now or read from an earlier run."""
    folder.mkdir(parents=True, exist_ok=True)
    scans: Scans = []
    for index in range(people):
        kept = folder / f"{seed}-{index}.npz"
        if not kept.is_file():
            source = sources[index % len(sources)]
            np.savez_compressed(kept, images=np.stack(list(two_visits(index, source, seed, contract))))
            say(f"{kept.name} simulated")
        with np.load(kept) as found:
            scans += [(str(index), image) for image in found["images"]]
    return scans


def two_visits(index: int, source: Path | None, seed: int, contract: InputContract) -> Iterator[NDArray[np.int16]]:
    from adclip.simulation.acquisition import draw_scanners
    from adclip.simulation.brains import grow_brain
    from adclip.simulation.derivative import source_spacing_mm, to_derivative
    from adclip.simulation.paint import LOOKS, draw_style
    from adclip.simulation.population import draw_course

    look = LOOKS["medium"]
    scanners = draw_scanners(seed, SITES, look)
    chosen = np.random.default_rng([seed, index, 4]).permutation(SITES)
    course = draw_course(
        f"sim{index}", np.random.default_rng([seed, index, 1]), wide_age=False, visits=2, interval_months=MONTHS
    )
    for number, person in enumerate(course):
        rng = np.random.default_rng([seed, index, 3, number])
        scanner = scanners[int(chosen[number])]
        style = draw_style(rng, look, scanner.gray, scanner.csf)
        brain = grow_brain(person, source, source_spacing_mm(contract), np.random.default_rng([seed, index, 2]))
        yield to_stored(to_derivative(brain, style, contract, rng).image)


def real(cache: Path, contract: InputContract) -> Scans:
    """All IXI heads, and the rescans that bench_rescans.py has kept."""
    scans = [(stem(path), to_stored(ready_ixi(path, cache).image(contract))) for path in ixi()]
    for path in spread_over_age(RESCANNED):
        for kept in sorted((cache / "rescans").glob(f"{stem(path)}_*.npz")):
            if (head := read_head(kept)) is not None:
                scans.append((stem(path), to_stored(head.image(contract))))
    return scans


def report(name: str, scans: Scans, contract: InputContract) -> None:
    """Print what would be refused."""
    images = torch.from_numpy(np.stack([image for _, image in scans]))[:, None]
    start = time.process_time()
    cohort = Cohort((), images, torch.empty(0), torch.empty(0))
    levels = [patterns_of(cohort, contract, size_mm) for size_mm in (LOOK_MM, FIT_MM)]
    pairs, _ = find_nearest(levels[0].flatten(1), torch.arange(len(scans)), CANDIDATES)
    values = fit_pairs(levels, pairs).numpy()
    seconds = time.process_time() - start
    found = {(one, other): value for (one, other), value in zip(pairs.tolist(), values.tolist(), strict=True)}
    who = [person for person, _ in scans]
    same = [(a, b) for b in range(len(who)) for a in range(b) if who[a] == who[b]]
    if name == "ixi":  # of the rescans of one head each is compared with the head, not with the others
        same = [(a, b) for a, b in same if a < len(ixi())]
    told = np.array([found.get(pair, -1.0) for pair in same])
    others = np.array([value for (a, b), value in found.items() if who[a] != who[b]])
    different = sum(who[a] != who[b] for b in range(len(who)) for a in range(b))
    alarms = int((others > NEAR_DUPLICATE).sum())
    up_to = 100 * stats.binomtest(alarms, different).proportion_ci(0.95, "wilson").high
    alarmed = {who[side] for pair, value in found.items() for side in pair
               if who[pair[0]] != who[pair[1]] and value > NEAR_DUPLICATE}  # fmt: skip
    say(f"{name}: {len(scans)} scans of {len(set(who))} people, {seconds:.1f} CPU s for {len(pairs)} fitted pairs")
    if same:
        say(f"  one person, missed: {share(told <= NEAR_DUPLICATE)}; not found at the first look {int((told < 0).sum())}; "
            f"lowest {np.round(np.sort(told)[:5], 2).tolist()}, median {np.median(told):.2f}")  # fmt: skip
    say(f"  two people, false alarms: {alarms} of {different} pairs (up to {up_to:.2f} %), people with one "
        f"{share([one in alarmed for one in sorted(set(who))])}; highest {np.round(np.sort(others)[-5:], 2).tolist()}")  # fmt: skip


if __name__ == "__main__":
    main()
