"""Build of the native module; everything else is declared in pyproject.toml."""

import sys
from glob import glob
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_py import build_py

HEADERS = "csrc/include"


class build_py_with_headers(build_py):
    """Copy the header-only core into the package, so that `traitcore.get_include()` works once installed."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # get_include() finds csrc/include beside the package
        for header in [p for p in Path(HEADERS).rglob("*") if p.suffix in (".hpp", ".inl")]:
            target = Path(self.build_lib, "traitcore/include", header.relative_to(HEADERS))
            self.mkpath(str(target.parent))
            self.copy_file(str(header), str(target))


ParallelCompile("TRAITCORE_BUILD_JOBS", default=2).install()

flags = [] if sys.platform == "win32" else ["-O3", "-Wall", "-Wextra", "-fvisibility=hidden"]

setup(
    ext_modules=[
        Pybind11Extension(
            "traitcore._core",
            sorted(glob("csrc/bindings/*.cpp")),
            include_dirs=[HEADERS],
            depends=sorted(glob("csrc/include/**/*.*", recursive=True) + glob("csrc/bindings/*.hpp")),
            cxx_std=17,
            extra_compile_args=flags,
        )
    ],
    cmdclass={"build_py": build_py_with_headers},
)
