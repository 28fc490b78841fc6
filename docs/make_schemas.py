"""Write docs/reference/schemas from the records themselves:  python docs/make_schemas.py."""

from __future__ import annotations

import json
from pathlib import Path

from adclip.verbs.schema import CATALOGUE, schema_of

FOLDER = Path(__file__).parent / "reference" / "schemas"


def pages() -> dict[str, str]:
    """Return file name -> content of every schema, and of the page that lists them."""
    made = {f"{name}.schema.json": json.dumps(schema_of(name), indent=1) + "\n" for name in CATALOGUE}
    rows = [
        f"| [`{name}`]({name}.schema.json) | {'each line of ' if entry.is_lines else ''}{entry.where.replace('|', chr(92) + '|')} |"
        for name, (entry, _) in CATALOGUE.items()
    ]
    return {**made, "README.md": HEAD + "\n".join(rows) + "\n"}


HEAD = """# JSON Schemas

<!-- Written by docs/make_schemas.py from the records; edit the records instead. -->

Every JSON and every JSON line that adclip writes for others, as JSON Schema 2020-12; what it keeps for itself alone (`.simulation/`, its
cache, `places.json` of its store) has none. `adclip schema NAME` prints the same. A validator in Python:

```bash
adclip predict scan.nii.gz --json > answer.jsonl
adclip schema prediction > prediction.schema.json
python -m jsonschema -i answer.jsonl prediction.schema.json
```

| schema | of |
|---|---|
"""


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = pages()
    for path in FOLDER.iterdir():
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
