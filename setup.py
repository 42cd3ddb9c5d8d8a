"""Find packages over two roots, core/ and plugins/; everything else stands in setup.cfg."""

from setuptools import find_packages, setup

CORE = find_packages("core")
PLUGINS = find_packages("plugins")

setup(
    packages=CORE + PLUGINS,
    package_dir={"": "core"} | {name: f"plugins/{name}" for name in PLUGINS if "." not in name},
)
