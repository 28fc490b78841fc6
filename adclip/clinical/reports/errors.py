"""What can go wrong in `adclip.clinical.reports`, each with its remedy."""

from __future__ import annotations

from adclip.errors import ReportError


def not_a_report(position: int) -> ReportError:
    return ReportError(
        f"report text leaves the template at character {position}",
        "give the text as `adclip synthesize-reports` wrote it",
    )
