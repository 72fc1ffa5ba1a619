"""Makes `charms.data_platform_libs.v0` known: a library that is copied into charms, here from a package that carries a copy."""

import importlib.util
import pathlib
import sys

_package = importlib.util.find_spec("single_kernel_postgresql")
sys.path.insert(0, str(pathlib.Path(_package.submodule_search_locations[0]) / "lib"))
