"""The packages that are installed: the same versions by pip and by uv, and with hashes."""

import itertools
import re
import tomllib

from helping import ROOT


def pins(name: str) -> dict[str, str]:
    """The versions that a file pins, by package."""
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\\n]+)", (ROOT / name).read_text(), re.MULTILINE)
    return {canonical(package): version for package, version in lines}


def canonical(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


CONSTRAINTS, LOCK = pins("constraints.txt"), pins("requirements.lock")


def test_the_lock_has_the_versions_of_the_constraints():
    both = CONSTRAINTS.keys() & LOCK.keys()
    assert len(both) > 100
    assert {name: LOCK[name] for name in both} == {name: CONSTRAINTS[name] for name in both}


def test_every_package_that_the_project_asks_for_is_pinned_both_ways():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    asked = [*project["dependencies"], *itertools.chain(*extras)]
    names = {canonical(re.match(r"[A-Za-z0-9._-]+", each).group()) for each in asked}
    assert names - CONSTRAINTS.keys() == set()
    # PyTorch's builds for processors and for cards have other hashes.
    assert names - LOCK.keys() == {"torch"}


def test_every_package_of_the_lock_has_hashes_and_no_address_is_named():
    text = (ROOT / "requirements.lock").read_text()
    packages = re.split(r"\n(?=[a-zA-Z])", text.strip())
    assert len(packages) >= len(LOCK)
    assert [package for package in packages if "--hash=sha256:" not in package] == []
    assert "://" not in text
