"""Build of the native module; everything else is declared in pyproject.toml."""

import sys
from glob import glob
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension
from setuptools import setup
from setuptools.command.build_py import build_py

HEADERS, CMAKE = "csrc/include", "csrc/cmake"


class build_py_with_headers(build_py):
    """Copy the header-only core and its CMake files into the package: `traitcore.get_include()`, `get_cmake_dir()`."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # both are found in csrc/, beside the package
        for folder, endings in ((HEADERS, (".hpp", ".inl", ".h")), (CMAKE, (".cmake",))):
            for file in [p for p in Path(folder).rglob("*") if p.suffix in endings]:
                target = Path(self.build_lib, "traitcore", Path(folder).name, file.relative_to(folder))
                self.mkpath(str(target.parent))
                self.copy_file(str(file), str(target))


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
