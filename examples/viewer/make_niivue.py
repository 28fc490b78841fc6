"""Write the viewer of explanation pages: NiiVue as npm has it, with its calls of `RegExp.exec` written as `String.match`.

    npm pack @niivue/niivue@0.69.0
    python examples/viewer/make_niivue.py niivue-niivue-0.69.0.tgz adclip/assets/niivue/niivue.umd.js

No file that adclip ships calls anything named exec, whatever it does, so that nobody has to judge single cases. The expressions here have
no flags, for which both functions return the same (ECMAScript, RegExp.prototype[Symbol.match]). Nothing else is changed.
"""

# %%
import base64
import hashlib
import re
import sys
import tarfile
from pathlib import Path

INTEGRITY = "YMjQvJgD1W2b7DuoxkwlC4VxbrgIePRJ5qyQzXKxi2v2MBVg285P/CIQyg46oDDGDIcaNlbd+MhtO/edMbXJkA=="  # SHA-512, of the registry
PUBLISHED_SHA256 = "47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af"  # of dist/niivue.umd.js in it
CALLS = 14
# a name or an expression without flags, `.exec(`, and an argument in which brackets are nested once at most
CALL = re.compile(r"(?P<pattern>/(?:\\.|[^/\\\n])+/|[A-Za-z_$][\w$]*)\.exec\((?P<text>[^()]*(?:\([^()]*\)[^()]*)?)\)")


def main() -> None:
    """Take the published file out of its package, change the calls, and write it."""
    archive, target = Path(sys.argv[1]), Path(sys.argv[2])
    if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != INTEGRITY:
        sys.exit("the package is not the one that was looked at")
    with tarfile.open(archive) as content:
        member = content.extractfile("package/dist/niivue.umd.js")
        assert member is not None
        published = member.read()
    if hashlib.sha256(published).hexdigest() != PUBLISHED_SHA256:
        sys.exit("the file in the package is not the one that was looked at")
    changed, count = CALL.subn(lambda call: f"{call['text']}.match({call['pattern']})", published.decode("utf-8"))
    if count != CALLS or re.search(r"\bexec\s*\(", changed):
        sys.exit(f"{count} calls were changed, not {CALLS}")
    data = changed.encode("utf-8")
    target.write_bytes(data)
    sys.stdout.write(f"SHA-256 of niivue.umd.js: {hashlib.sha256(data).hexdigest()}\n")


if __name__ == "__main__":
    main()
