"""Placeholder until the module is written."""
from adclip.clinical.dialects.base import Dialect

OASIS_1 = OASIS_2 = OASIS_3 = Dialect('OASIS', (), ())
