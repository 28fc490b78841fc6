"""Write the self-test that the builtin model brings along: what its maps find of planted changes, as users of it are told.

    python examples/builtin/make_selftest.py adclip/assets/builtin [--seed 0] [--heads 12] [--slow 8] [--slowest 2]

The same as `adclip explain --selftest --seed 0 --out DIR`, with more heads for slow methods. To be made anew whenever the model changes.
"""

# %%
import argparse
import shutil
import tempfile
from pathlib import Path

from adclip.config import ExplainConfig
from adclip.explanation.selftest.measure import Heads
from adclip.verbs.explain_selftest import explain_selftest


def main() -> None:
    """Test the builtin model and put the record where it is shipped."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--slow", type=int, default=8)
    parser.add_argument("--slowest", type=int, default=2)
    parser.add_argument("--every-map", type=Path, help="Also write the table of every single map here.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = ExplainConfig((), Path(folder), selftest=True, device="cpu", seed=options.seed, overwrite=True)
        result = explain_selftest(config, print, Heads(options.heads, options.slow, options.slowest))
        options.folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(result.record, options.folder)
        if options.every_map is not None:
            shutil.copy(result.heads, options.every_map)


if __name__ == "__main__":
    main()
