#!/usr/bin/env bash
# bids-validator-deno 3.0.2 does not hide a folder by a line of .bidsignore that ends in a slash.
#
# .bidsignore is written in the manner of .gitignore, where `figures/` means the folders of that name with all in them. The validator
# goes on to call such a folder NOT_INCLUDED, an error; `figures` without the slash hides it. Seen on 2026-11-30, with a derivatives
# dataset that holds one picture in sub-a/figures:
#   figures/: NOT_INCLUDED /sub-a/figures/; **/figures/: NOT_INCLUDED /sub-a/figures/; figures: no error; sub-*/figures: no error
# Cure: leave the slash out.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet bids-validator-deno==3.0.2 deno==2.9.8
data="$work/data"
mkdir -p "$data/sub-a/figures" "$data/sub-a/anat"
echo '{"Name": "x", "BIDSVersion": "1.10.0", "DatasetType": "derivative", "GeneratedBy": [{"Name": "x"}]}' >"$data/dataset_description.json"
echo "a dataset" >"$data/README"
echo x >"$data/sub-a/figures/sub-a_desc-qc_T1w.webp"

errors_with() {
    echo "$1" >"$data/.bidsignore"
    "$work/venv/bin/bids-validator-deno" "$data" --format json 2>/dev/null | python3 -c '
import json, sys
issues = json.load(sys.stdin)["issues"]["issues"]
found = [issue["code"] + " " + issue["location"] for issue in issues if issue["severity"] == "error"]
print(", ".join(found) or "no error")' || true
}

for line in "figures/" "**/figures/" "figures" "sub-*/figures"; do
    said=$(errors_with "$line")
    echo "$line: $said"
    case "$line" in
        */) wanted="NOT_INCLUDED /sub-a/figures/" ;;
        *) wanted="no error" ;;
    esac
    [ "$said" = "$wanted" ] || { echo "the behaviour has changed" >&2; exit 1; }
done
