"""Versions, ranges, markers and requirement lines: a table of cases, held against packaging where that is installed."""

import pytest

from smoke import requirement, versions

RANGES = [
    ("", "1.0", True),
    ("==1.0", "1.0.0", True),
    ("==1.0", "1.0+cpu", True),
    ("==1.0+cpu", "1.0", False),
    ("==1.0+CPU", "1.0+cpu", True),
    ("==13.1.1.3.*", "13.1.1.3", True),
    ("==13.1.1.3.*", "13.1.2.1", False),
    ("==1.0.*", "1", True),
    ("==1.1.*", "1.10", False),
    ("!=1.2.*,>=1", "1.2.3", False),
    (">=1.2,<2", "1.10", True),
    (">=1.2,<2", "2.0rc1", False),
    (">=1.2,<2", "1.2rc1", False),
    (">=0.37,<1", "0.45.1", True),
    ("<2.0.0,>=1.23.5", "2.4.6", False),
    ("~=3.4", "3.9", True),
    ("~=3.4", "4.0", False),
    ("~=3.4.1", "3.4.9", True),
    ("~=3.4.1", "3.5", False),
    (">1.0", "1.0.post1", False),
    (">1.0.post1", "1.0.post2", True),
    (">1.0", "1.0+cpu", False),
    ("<1.0", "1.0.dev3", False),
    ("<1.0rc1", "1.0a1", True),
    ("<=1.0", "1.0+cpu", True),
    (">=1.0", "1.0.dev1", False),
    ("==1!2.0", "2.0", False),
    (">=2.0", "1!1.0", True),
    ("==1.0-1", "1.0.post1", True),
    ("==1.0c1", "1.0rc1", True),
    ("===1.0", "1.0.0", False),
    ("===2004d", "2004D", True),
    (">=1.0", "2004d", None),
    (">=1.0.*", "1.0", None),
    ("~=1", "1.0", None),
    ("1.0", "1.0", None),
    (">=1.0+cpu", "1.0", None),
]


@pytest.mark.parametrize(("ranges", "version", "fits"), RANGES)
def test_a_version_fits_a_range_or_not(ranges, version, fits):
    assert versions.fits(ranges, version) is fits
    specifiers = pytest.importorskip("packaging.specifiers")
    if fits is not None and "===" not in ranges:  # of which its releases take different texts
        assert specifiers.SpecifierSet(ranges).contains(version, prereleases=True) is fits


ORDERED = [
    "0.9", "1.dev0", "1.0a1.dev2", "1.0a1", "1.0b2", "1.0rc1", "1.0", "1.0+abc", "1.0+1",
    "1.0.post0.dev1", "1.0.post0", "1.0.1", "1.10", "1!0.1",
]  # fmt: skip


def test_versions_are_ordered():
    assert sorted(set(ORDERED), key=lambda text: versions.Version(text).key) == ORDERED
    packaging = pytest.importorskip("packaging.version")
    assert sorted(set(ORDERED), key=packaging.Version) == ORDERED


VALUES = {
    "implementation_name": "cpython", "implementation_version": "3.11.7", "os_name": "posix",
    "platform_machine": "x86_64", "platform_python_implementation": "CPython", "platform_release": "6.1.0-18-amd64",
    "platform_system": "Linux", "platform_version": "#1 SMP", "python_full_version": "3.11.7",
    "python_version": "3.11", "sys_platform": "linux",
}  # fmt: skip
MARKERS = [
    ("", (), True),
    ('platform_system == "Linux" and sys_platform != "win32"', (), True),
    ("python_version >= '3.9' and python_version<'3.12'", (), True),
    ('python_version > "3.9" or sys_platform == "win32" and os_name == "nt"', (), True),
    ('(python_version < "3" or os_name == "posix") and extra == "dev"', (), False),
    ('(python_version < "3" or os_name == "posix") and extra == "dev"', ("dev",), True),
    ('extra == "and-cuda"', ("and-cuda",), True),
    ("extra == 'And_CUDA'", ("and-cuda",), True),
    ('"3.8" <= python_version', (), True),
    ('platform_machine in "x86_64 AMD64"', (), True),
    ('platform_machine not in "arm64 aarch64"', (), True),
    ('python_full_version == "3.11.*"', (), True),
    ('platform_python_implementation != "PyPy"', (), True),
    ('implementation_version < "3"', (), False),
    ('sys_platform == "win32"', (), False),
]


@pytest.mark.parametrize(("marker", "extras", "holds"), MARKERS)
def test_a_marker_holds_or_not(marker, extras, holds):
    line = "x; " + marker if marker else "x"
    assert requirement.Requirement(line).applies(extras, VALUES) is holds
    packaging = pytest.importorskip("packaging.requirements")
    told = packaging.Requirement(line).marker
    assert any(told is None or told.evaluate(dict(VALUES, extra=extra)) for extra in (*extras, "")) is holds


@pytest.mark.parametrize(
    "marker",
    ["python_version", 'no_such == "1"', 'os_name == "a" or', '(os_name == "a"', 'os_name = "a"', '"a" == "b"'],
)
def test_no_marker(marker):
    with pytest.raises(ValueError, match="marker"):
        requirement.Requirement("x; " + marker).applies((), VALUES)


LINES = [
    ("filelock", "filelock", (), ""),
    ("typing_extensions (>=4.8.0)", "typing-extensions", (), ">=4.8.0"),
    (
        'cuda-toolkit[cublas,cudart, NvJitLink]==13.0.3; platform_system == "Linux"', "cuda-toolkit",
        ("cublas", "cudart", "nvjitlink"), "==13.0.3",
    ),
    ("a.b[x] @ file:///tmp/a.whl ; os_name == 'posix'", "a-b", ("x",), ""),
    ("mpmath <1.4,>=1.1.0", "mpmath", (), "<1.4,>=1.1.0"),
    ("x[]>=1", "x", (), ">=1"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "name", "extras", "ranges"), LINES)
def test_a_line_is_read(line, name, extras, ranges):
    found = requirement.Requirement(line)
    assert (found.name, found.extras, found.ranges) == (name, extras, ranges)
    packaging = pytest.importorskip("packaging.requirements")
    told = packaging.Requirement(line)
    assert ({requirement.normalised(extra) for extra in told.extras}, requirement.normalised(told.name)) == (
        set(extras), name,
    )  # fmt: skip
    assert all(versions.fits(ranges, version) is told.specifier.contains(version, prereleases=True)
               for version in ("0.5", "1.2", "4.8.0", "13.0.3"))  # fmt: skip


@pytest.mark.parametrize("line", ["", "-x", "x>=", "x==1 2", "x[y", "x >> 1", "x (>=1.0.*)"])
def test_no_line(line):
    with pytest.raises(ValueError, match=r"requirement|range"):
        requirement.Requirement(line)


def test_this_interpreter_is_told_as_packaging_tells_it():
    markers = pytest.importorskip("packaging.markers")
    assert requirement.environment() == markers.default_environment()
