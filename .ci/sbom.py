"""What a wheel carries, as a CycloneDX bill of materials beside it:  python .ci/sbom.py WHEEL

Refuses a wheel with a library that is not listed here, or without the licence of one that is compiled in.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

# Third-party code inside _core, by the licence file that must be in the wheel. Nothing else is copied or linked in;
# the C++ run-time is the system's.
COMPILED_IN = {"pybind11": ("BSD-3-Clause", "LICENSES/pybind11.txt")}


def main(path: str) -> None:
    wheel = Path(path)
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    meta = Parser().parsestr(next(b for n, b in files.items() if n.endswith(".dist-info/METADATA")).decode())
    libraries = [n for n in files if ".so" in n or n.endswith((".dll", ".dylib", ".pyd"))]
    foreign = [n for n in libraries if not Path(n).name.startswith("_core.")]
    assert not foreign, f"libraries from elsewhere in the wheel: {foreign}"
    for name, (_, licence) in COMPILED_IN.items():
        assert any(n.endswith(f"licenses/{licence}") for n in files), f"the licence of {name} is not in the wheel"
    assert any(n.endswith("licenses/LICENSE") for n in files), "the licence is not in the wheel"
    own = {"type": "library", "bom-ref": "traitcore", "name": meta["Name"], "version": meta["Version"],
           "licenses": [{"license": {"id": meta["License-Expression"]}}]}
    parts = [
        {"type": "library", "bom-ref": name, "name": name, "scope": "required",
         "licenses": [{"license": {"id": licence}}], "description": "header-only, compiled into traitcore/_core"}
        for name, (licence, _) in COMPILED_IN.items()
    ]
    parts += [
        {"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(body).hexdigest()}]}
        for name, body in sorted(files.items())
    ]
    bill = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "metadata": {"component": own},
        "components": parts, "dependencies": [{"ref": "traitcore", "dependsOn": sorted(COMPILED_IN)}],
    }
    target = wheel.with_suffix(".cdx.json")
    target.write_text(json.dumps(bill, indent=1) + "\n")
    print(f"{target.name}: {len(files)} files, own {own['licenses'][0]['license']['id']}, compiled in: "
          + ", ".join(f"{name} ({licence})" for name, (licence, _) in COMPILED_IN.items()))


if __name__ == "__main__":
    main(sys.argv[1])
