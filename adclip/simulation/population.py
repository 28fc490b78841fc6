"""People with known truth: one latent severity per visit causes atrophy, diagnosis and MMSE.

All figures are for the marginals of ADNI as given by Qiu et al., Nat. Commun. 2022 (MMSE, age, education, APOE e4), and
for the volumes of iSTAGING at 75 years (MUSE segmentation). Age, sex and head size act apart from the severity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GROUPS = ("CN", "MCI", "AD")
GROUP_SHARES = (0.36, 0.28, 0.36)

# Severity s: mean and sd per group; the groups overlap. s is unitless, 0 at the centre of CN and 2 at that of AD.
SEVERITY = {"CN": (0.0, 0.45), "MCI": (1.0, 0.45), "AD": (2.0, 0.35)}
AGE_YEARS = {"CN": (74.3, 6.0), "MCI": (72.8, 7.7), "AD": (74.9, 7.8)}
EDUCATION_YEARS = {"CN": (16.3, 2.7), "MCI": (15.9, 2.8), "AD": (15.2, 3.0)}
E4_CARRIERS = {"CN": 0.30, "MCI": 0.47, "AD": 0.64}
E4_HOMOZYGOTES_AMONG_CARRIERS = 0.2  # judged
EARLIEST_DISEASE_YEARS = 50.0  # in the wide-age mode nobody younger is ill

# MMSE = 29.4 - 1.0 s - 1.05 s^2 + noise: passes the group means 29.05, 27.62, 23.19 once truncated at 30 and rounded.
MMSE_AT_ZERO, MMSE_LINEAR, MMSE_SQUARE, MMSE_NOISE = 29.4, -1.0, -1.05, 1.1

ICV_MM3 = {"F": (1.31e6, 0.10e6), "M": (1.49e6, 0.10e6)}  # overall 1.40e6, sd 0.14e6
MEAN_ICV_MM3 = 1.40e6
REFERENCE_AGE_YEARS = 75.0


@dataclass(frozen=True)
class Driver:
    """How one structure's share of the intracranial volume depends on a person.

    Parameters
    ----------
    share : float
        Median share of ICV in CN at 75 years.
    per_severity : float
        Change of ln(share) for one unit of s.
    per_year : float
        Change of ln(share) per year of age.
    spread, spread_per_severity : float
        Standard deviation of ln(share) that nothing else explains, at s = 0 and its growth with s (heterogeneity).
    icv_power : float
        Exponent of ICV in the share: -0.5 means the volume grows with the square root of head size.
    asymmetry : float
        Standard deviation of the left-right difference of ln(share).
    """

    share: float
    per_severity: float
    per_year: float
    spread: float
    spread_per_severity: float = 0.0
    icv_power: float = 0.0
    asymmetry: float = 0.0


# What one brain shows of its severity: s plus a share of chance that all structures have in common (reserve, co-pathology).
# With it, all volumes together separate AD from CN about as well as the published hippocampus and ventricles do.
ATROPHY_NOISE = 1.15

# hippocampus: 7142 mm3 (sd 784) in CN, 6020 (974) in AD; ventricles: 36500 (5-95 %: 18500-78000) and 51800.
# The other structures follow the hippocampus in form; their sizes come from the template itself (share 0 = as found).
DRIVERS: dict[str, Driver] = {
    "hippocampus": Driver(7142 / MEAN_ICV_MM3, -0.095, -0.007, 0.03, 0.02, -0.5, 0.04),
    "entorhinal": Driver(0.0, -0.09, -0.005, 0.06, 0.02, -0.5, 0.05),
    "temporal": Driver(0.0, -0.05, -0.004, 0.04, 0.01, -0.3, 0.03),
    "ventricles": Driver(36500 / MEAN_ICV_MM3, 0.175, 0.022, 0.32),
    "sulci": Driver(0.0, 0.06, 0.006, 0.08),
}


@dataclass(frozen=True)
class Person:
    """One simulated visit: what the table will say, and the truth behind it.

    Parameters
    ----------
    subject_id : str
        `sim0001` and so on; says nothing about the diagnosis.
    severity : float
        The latent s.
    log_change : dict
        Wished change of ln(share of ICV) against the mean CN person of 75 years, by driver; paired drivers carry
        `_left` and `_right`.
    """

    subject_id: str
    diagnosis: str
    severity: float
    age_years: float
    sex: str
    education_years: float
    apoe4_count: int
    mmse: int
    icv_mm3: float
    log_change: dict[str, float]


def draw_group(rng: np.random.Generator, age_years: float | None) -> str:
    """Draw a clinical group; people under 50 are always CN in the wide-age mode."""
    if age_years is not None and age_years < EARLIEST_DISEASE_YEARS:
        return "CN"
    return str(rng.choice(GROUPS, p=GROUP_SHARES))


def draw_person(subject_id: str, rng: np.random.Generator, *, wide_age: bool = False) -> Person:
    """Draw one person.

    Drawing the group first and s given the group has the same joint distribution as drawing s and then the group by
    Bayes' rule; s remains the only road from the disease to the image and the MMSE.

    Parameters
    ----------
    subject_id : str
        Name to carry.
    rng : Generator
        Source of randomness; consumed in a fixed order.
    wide_age : bool
        Uniform 20-95 years instead of the groups' clinical ages.
    """
    wide_years = float(rng.uniform(20, 95))
    group = draw_group(rng, wide_years if wide_age else None)
    clinical_years = float(np.clip(rng.normal(*AGE_YEARS[group]), 50, 95))
    age = round(wide_years if wide_age else clinical_years, 1)
    severity = float(rng.normal(*SEVERITY[group]))
    sex = str(rng.choice(["F", "M"]))
    education = float(np.clip(np.round(rng.normal(*EDUCATION_YEARS[group])), 6, 22))
    carrier = rng.random() < E4_CARRIERS[group]
    homozygote = rng.random() < E4_HOMOZYGOTES_AMONG_CARRIERS
    icv = float(np.clip(rng.normal(*ICV_MM3[sex]), 1.0e6, 1.9e6))
    noise = rng.normal(0, MMSE_NOISE)
    mmse = MMSE_AT_ZERO + MMSE_LINEAR * severity + MMSE_SQUARE * severity * abs(severity) + noise
    return Person(
        subject_id=subject_id,
        diagnosis=group,
        severity=severity,
        age_years=age,
        sex=sex,
        education_years=education,
        apoe4_count=int(carrier) * (2 if homozygote else 1),
        mmse=int(np.clip(round(mmse), 0, 30)),
        icv_mm3=icv,
        log_change=_draw_changes(rng, severity, age, icv),
    )


def _draw_changes(rng: np.random.Generator, severity: float, age_years: float, icv_mm3: float) -> dict[str, float]:
    changes: dict[str, float] = {}
    atrophy = severity + rng.normal(0, ATROPHY_NOISE)
    for name, driver in DRIVERS.items():
        spread = driver.spread + driver.spread_per_severity * max(severity, 0.0)
        common = (
            driver.per_severity * atrophy
            + driver.per_year * (age_years - REFERENCE_AGE_YEARS)
            + driver.icv_power * np.log(icv_mm3 / MEAN_ICV_MM3)
            + rng.normal(0, spread)
        )
        half_difference = rng.normal(0, driver.asymmetry) / 2 if driver.asymmetry else 0.0
        if driver.asymmetry:
            changes[f"{name}_left"] = float(common - half_difference)
            changes[f"{name}_right"] = float(common + half_difference)
        else:
            changes[name] = float(common)
    return changes
