"""Placeholder until the module is written."""
from adclip.clinical.dialects.base import Dialect

FREESURFER_TABLE = SYNTHSEG_TABLE = DLMUSE_TABLE = Dialect('x', (), ())
