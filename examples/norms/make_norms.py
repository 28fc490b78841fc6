"""Derive the shipped norms from NiChart's published centiles of DLMUSE volumes.

    python examples/norms/make_norms.py CENTILES_FOLDER adclip/assets/norms

CENTILES_FOLDER holds `dlmuse_centiles_CN-Females.csv`, `-Males.csv`, `-ICVNorm.csv` and `dlmuse_centiles_CN.csv` of the NiChart
project: for each region the 5th, 25th, 50th, 75th and 95th centile at every year of age. Written are `dlmuse.csv` (volumes as
measured, each sex) and `dlmuse_share.csv` (parts per million of the intracranial volume, both sexes together), of the regions
whose definition equals a volume of adclip's, at every second or fourth year and the last one. Printed is the largest error that
linear interpolation between the kept ages makes, and how the reference head of the ICV-normalised centiles was found.
"""

# %%
import csv
import math
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

CENTILES = ("5", "25", "50", "75", "95")
NORMAL = statistics.NormalDist()
Z = tuple(NORMAL.inv_cdf(float(centile) / 100) for centile in CENTILES)
# Volume -> NiChart's region and the step between kept ages, years. The medians of `Ventricles` are compared with their parts
# below. `TotalBrain` is left out: it holds the ventricles, which whole_brain_mm3 does not; and sums of both sides have other
# centiles than the sides. Entorhinal, fusiform and middle temporal volumes are such sums.
REGIONS = {
    "hippocampus_left_mm3": ("Hippocampus_L", 2),
    "hippocampus_right_mm3": ("Hippocampus_R", 2),
    "ventricles_mm3": ("Ventricles", 2),
    "amygdala_left_mm3": ("Amygdala_L", 4),
    "amygdala_right_mm3": ("Amygdala_R", 4),
    "inferior_lateral_ventricle_left_mm3": ("InfLatVentricle_L", 4),
    "inferior_lateral_ventricle_right_mm3": ("InfLatVentricle_R", 4),
}
SHARE_STEP = 4  # years
VENTRICLE_PARTS = (
    "3rdVentricle", "4thVentricle", "InfLatVentricle_L", "InfLatVentricle_R", "LateralVentricle_L", "LateralVentricle_R",
)  # fmt: skip
WELL_COVERED = range(45, 86)  # years, where the published curves rest on many people

Table = dict[int, list[float]]


def read(path: Path) -> dict[str, Table]:
    """Return region -> age in years -> centiles, mm3."""
    found: dict[str, Table] = {}
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            values = [float(row[f"centile_{centile}"]) for centile in CENTILES]
            found.setdefault(row["VarName"], {})[round(float(row["Age"]))] = values
    return found


def to_log_normal(centiles: list[float]) -> list[float]:
    """Return the centiles of the log-normal distribution that has the mean and the SD of a published normal one.

    The published curves of the inferior lateral ventricles are normal distributions (their quantiles are symmetric at every
    age), and their 5th centile is a negative volume up to about 75 years.
    """
    mean, sd = centiles[2], (centiles[-1] - centiles[0]) / (Z[-1] - Z[0])
    variance = math.log(1 + (sd / mean) ** 2)
    return [math.exp(math.log(mean) - variance / 2 + math.sqrt(variance) * z) for z in Z]


def between(ages: list[int], table: Table, age: int) -> list[float]:
    """Return the centiles at an age by linear interpolation between the kept ages."""
    high = next(kept for kept in ages if kept >= age)
    low = max(kept for kept in ages if kept <= age)
    share = 0.0 if high == low else (age - low) / (high - low)
    return [one + share * (two - one) for one, two in zip(table[low], table[high], strict=True)]


def thin_out(name: str, table: Table, step: int) -> list[int]:
    """Return the ages to keep, and print what is lost by it."""
    ages = sorted(table)
    kept = sorted({*ages[::step], ages[-1]})
    pairs = [pair for age in ages for pair in zip(between(kept, table, age), table[age], strict=True)]
    worst = max(abs(guess / true - 1) for guess, true in pairs)
    say(f"{name}: {ages[0]}-{ages[-1]} years, interpolation error at most {100 * worst:.2f} %")
    return kept


def find_reference_head(pooled: dict[str, Table], normed: dict[str, Table]) -> float:
    """Return the intracranial volume (mm3) that the ICV-normalised volumes are scaled to, which NiChart does not state.

    A normalised volume is the volume times reference over own ICV. So the ratio of a region's two medians is about the reference
    over the median ICV, in each of the regions that both tables have.
    """
    found = sorted(
        normed[region][age][2] / pooled[region][age][2] * normed["ICV"][age][2]
        for region in pooled.keys() & normed.keys()
        for age in WELL_COVERED
    )
    low, middle, high = (found[len(found) * part // 4] for part in (1, 2, 3))
    say(f"reference head: {middle:.0f} mm3, quartiles {low:.0f} and {high:.0f} over {len(found)} regions and ages")
    return middle


def write(path: Path, lines: Iterable[Iterable[str]]) -> None:
    """Write a CSV."""
    path.write_text("\n".join(",".join(line) for line in lines) + "\n", encoding="utf-8")


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(text + "\n")


def main() -> None:
    """Write the tables, and print how well they stand for the source."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    columns = [f"centile_{centile}" for centile in CENTILES]
    lines = [["field", "sex", "age_years", *columns]]
    for sex, name in (("F", "Females"), ("M", "Males")):
        source = read(folder / f"dlmuse_centiles_CN-{name}.csv")
        parts = [sum(source[part][age][2] for part in VENTRICLE_PARTS) for age in source["Ventricles"]]
        whole = [values[2] for values in source["Ventricles"].values()]
        share = max(abs(a / b - 1) for a, b in zip(parts, whole, strict=True))
        say(f"{sex}: medians of the ventricles against the sum of their parts' medians: at most {100 * share:.1f} %")
        for field, (region, step) in REGIONS.items():
            table = _table_of(field, source[region])
            kept = thin_out(f"{sex} {field}", table, step)
            lines += [[field, sex, str(age), *(f"{value:.0f}" for value in table[age])] for age in kept]
    write(out / "dlmuse.csv", lines)
    normed = read(folder / "dlmuse_centiles_CN-ICVNorm.csv")
    head = find_reference_head(read(folder / "dlmuse_centiles_CN.csv"), normed)
    lines = [["field", "age_years", *columns]]
    for field, (region, _) in REGIONS.items():
        table = _table_of(field, normed[region])
        kept = thin_out(f"share of {field}", table, SHARE_STEP)
        lines += [[field, str(age), *(f"{1e6 * value / head:.2f}" for value in table[age])] for age in kept]
    write(out / "dlmuse_share.csv", lines)


def _table_of(field: str, table: Table) -> Table:
    if not field.startswith("inferior_lateral_ventricle"):
        return table
    return {age: to_log_normal(centiles) for age, centiles in table.items()}


if __name__ == "__main__":
    main()
