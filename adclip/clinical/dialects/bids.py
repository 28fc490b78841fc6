"""Placeholder until the module is written."""
from adclip.clinical.dialects.base import Dialect

BIDS = Dialect('BIDS', (), ())
def with_sidecar(dialect, sidecar): return dialect
