"""What the machine's owner has configured is found in pip's and uv's own order, and goes nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.engines.docker.recipe import build_command, wheels_command
from dlmatrix.errors import ConfigError
from dlmatrix.matrix.load import lock_of, select
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.model import Lock, LockEntry, Matrix, Site
from dlmatrix.matrix.plan import Limits, make_plan, official
from dlmatrix.matrix.site import read_site, uv_config, uv_environment

MIRROR, OTHER = "https://mirror.example/simple", "https://other.example/simple"

Home = Callable[..., dict[str, str]]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An environment whose home folder holds these configuration files."""

    def make(pip: str = "", uv: str = "", **environ: str) -> dict[str, str]:
        for name, text in (("pip/pip.conf", pip), ("uv/uv.toml", uv)):
            if text:
                (tmp_path / ".config" / name).parent.mkdir(parents=True)
                (tmp_path / ".config" / name).write_text(text)
        return {"HOME": str(tmp_path), **environ}

    return make


def lock(**versions: str) -> Lock:
    entries = tuple(LockEntry(name=name, version=version, hashes=()) for name, version in versions.items())
    return Lock(file=Path("cpu-x.txt"), sha256="", entries=entries)


@pytest.mark.parametrize(
    ("pip", "uv", "environ", "index"),
    [
        (f"[global]\nindex-url = {MIRROR}", "", {}, MIRROR),
        (f"[global]\nindex-url = {OTHER}\n[install]\nindex_url = {MIRROR}", "", {}, MIRROR),
        (f"[global]\nindex-url = {OTHER}", "", {"PIP_INDEX_URL": MIRROR}, MIRROR),
        (f"[global]\nindex-url = {OTHER}", f'index-url = "{MIRROR}"', {"PIP_INDEX_URL": OTHER}, MIRROR),
        ("", f'[pip]\nindex-url = "{MIRROR}"', {}, MIRROR),
        ("", f'[[index]]\nurl = "{OTHER}"\n[[index]]\nurl = "{MIRROR}"\ndefault = true', {}, MIRROR),
        ("", f'index-url = "{OTHER}"', {"UV_INDEX_URL": MIRROR}, MIRROR),
        ("", f'index-url = "{OTHER}"', {"UV_DEFAULT_INDEX": f"ours={MIRROR}", "UV_INDEX_URL": OTHER}, MIRROR),
        # An index in a folder of this machine does not exist inside a build.
        ("[global]\nindex-url = file:///srv/index", "", {}, None),
    ],
)
def test_the_index_by_precedence(home: Home, pip: str, uv: str, environ: dict[str, str], index: str | None) -> None:
    assert read_site(home(pip, uv, **environ)).index == index


@pytest.mark.parametrize(
    ("pip", "uv", "environ"),
    [
        (f"[global]\nextra-index-url =\n  {MIRROR}\n  file:///srv/index\n  {OTHER}", "", {}),
        ("", f'extra-index-url = ["{MIRROR}", "{OTHER}"]', {}),
        ("", f'[[index]]\nurl = "{MIRROR}"\n[[index]]\nname = "o"\nurl = "{OTHER}"', {}),
        ("", "", {"UV_INDEX": f"a={MIRROR} {OTHER}"}),
        ("", 'extra-index-url = ["https://not.example"]', {"UV_EXTRA_INDEX_URL": f"{MIRROR} {OTHER}"}),
    ],
)
def test_further_indexes(home: Home, pip: str, uv: str, environ: dict[str, str]) -> None:
    assert read_site(home(pip, uv, **environ)).extra_indexes == (MIRROR, OTHER)


def test_uv_reads_the_file_it_is_told_instead_of_the_user_s(home: Home, tmp_path: Path) -> None:
    told = tmp_path / "told.toml"
    told.write_text(f'index-url = "{MIRROR}"')
    environ = home(uv=f'index-url = "{OTHER}"\nextra-index-url = ["{OTHER}"]', UV_CONFIG_FILE=str(told))
    found = read_site(environ)
    assert (found.index, found.extra_indexes) == (MIRROR, ())


def test_pip_reads_no_file_where_it_is_told_the_null_device(home: Home) -> None:
    environ = home(f"[global]\nindex-url = {OTHER}\n", PIP_CONFIG_FILE="/dev/null")
    assert read_site(environ) == Site()


def test_folders_that_exist_ca_bundle_and_proxies(home: Home, tmp_path: Path) -> None:
    wheels, bundle = tmp_path / "wheels", tmp_path / "ca.pem"
    wheels.mkdir()
    bundle.write_text("")
    environ = home(
        f"[global]\ncert = {bundle}\nfind-links = file://{wheels} {tmp_path}/none https://mirror.example/wheels",
        HTTPS_PROXY="http://proxy.example:3128",
        no_proxy="localhost",
    )
    found = read_site(environ)
    assert (found.find_links, found.ca_bundle) == ((wheels,), bundle)
    assert found.proxies == {"https_proxy": "http://proxy.example:3128", "no_proxy": "localhost"}


@pytest.mark.parametrize(
    ("pip", "uv", "file", "next_step"),
    [
        ("index-url = https://user:hunter2@mirror.example", "", "pip.conf", "correct it: pip config debug"),
        ("[global]\na = 1\na = hunter2", "", "pip.conf", "correct it: pip config debug"),
        ("[global]\nhunter2 \\", "", "pip.conf", "correct it: pip config debug"),
        ("", 'index-url = "https://user:hunter2@', "uv.toml", "correct the file"),
        ("", "pip = 3", "uv.toml", "correct it"),
        ("", "index = 3", "uv.toml", "correct it"),
        ("", "index = [3]", "uv.toml", "correct it"),
    ],
)
def test_a_malformed_configuration_is_named_without_its_content(
    home: Home, pip: str, uv: str, file: str, next_step: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        read_site(home(pip, uv))
    assert file in refused.value.message
    assert "hunter2" not in refused.value.message
    assert refused.value.next_step == next_step


def test_uv_is_told_the_site_s_indexes_and_proxies() -> None:
    site = Site(
        index=MIRROR,
        extra_indexes=(OTHER,),
        proxies={"https_proxy": 'http://u:"\\@proxy.example', "no_proxy": "localhost,.example"},
    )
    assert uv_config(site, Local(site, lock(numpy="2.0"), "3.11")).splitlines() == [
        'index-strategy = "unsafe-best-match"',
        f'index-url = "{MIRROR}"',
        f'extra-index-url = ["{OTHER}"]',
        'https-proxy = "http://u:\\"\\\\@proxy.example"',
        'no-proxy = ["localhost", ".example"]',
    ]


def test_torch_s_own_index_is_asked_only_for_a_cpu_build_that_no_folder_has(tmp_path: Path) -> None:
    asks = 'torch-backend = "cpu"'
    locked = lock(torch="2.13.0+cpu")
    site = Site(find_links=(tmp_path,))
    assert asks in uv_config(site, Local(site, locked, "3.11"))
    assert asks not in uv_config(site, Local(site, lock(torch="2.13.0"), "3.11"))
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    assert asks not in uv_config(site, Local(site, locked, "3.11"))


def test_uv_gets_the_caller_s_environment_less_what_would_lead_it_elsewhere() -> None:
    environ = {"PATH": "/bin", "UV_INDEX": OTHER, "PIP_INDEX_URL": OTHER, "VIRTUAL_ENV": "/v", "UV_CACHE_DIR": "/c"}
    site = Site(ca_bundle=Path("/ca.pem"), proxies={"http_proxy": "http://proxy.example"})
    assert uv_environment(site, environ) == {
        "PATH": "/bin",
        "UV_CACHE_DIR": "/c",
        "SSL_CERT_FILE": "/ca.pem",
        "http_proxy": "http://proxy.example",
    }


def test_credentials_reach_no_command_label_or_key(
    matrix: Matrix, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from dlmatrix.engines.docker.staging import stage_sources

    env = select(matrix, ["cpu-torch"])[0]
    plan = make_plan(matrix, env, lock_of(matrix, env), "0.13.9", Limits())
    base = official(plan.base)
    before = plan.key(base)
    address = "https://user:hunter2@mirror.example/simple"
    site = Site(index=address, extra_indexes=(address,), proxies={"https_proxy": "http://user:hunter2@proxy.example"})
    contexts, secrets = stage_sources(plan, site, Local(site, plan.lock, plan.env.python), plan.lock.entries, tmp_path)
    command = wheels_command(plan, base, contexts, secrets, target=tmp_path) + build_command(plan, base, contexts)
    assert Path(secrets["uvconfig"]).read_text().count("hunter2") == 3
    assert "hunter2" not in " ".join([*command, *plan.labels(base).values(), *map(str, plan.expect().values())])
    assert plan.key(base) == before
