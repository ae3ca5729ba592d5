"""What pyproject.toml cannot say: the folder `suites` ships as the package `submariner_suites`."""

from __future__ import annotations

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["pytest_submariner*"]),
        *(name.replace("suites", "submariner_suites", 1) for name in find_packages(include=["suites*"])),
    ],
    package_dir={"submariner_suites": "suites"},
)
