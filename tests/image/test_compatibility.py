"""The compatibility table against what each gpu image on the engine says of itself."""

from __future__ import annotations

import json
from typing import Any

import docker
import pytest

from dlmatrix.matrix.compatibility import family, load_compatibility
from dlmatrix.matrix.load import load_matrix
from dlmatrix.matrix.model import Env, Status
from tests.builds import Said, disagreements
from tests.image.support import ROOT

MATRIX = load_matrix(ROOT)
TABLE = load_compatibility(ROOT)

#: Without a GPU torch.cuda.get_arch_list() is empty; the flags of the build are not. cuDNN counts
#: 8902 as 8.9.2 and 90100 as 9.1.0.
ASK = {
    "torch": """
import json, torch
cudnn = torch.backends.cudnn.version()
print(json.dumps({
    "cuda": torch.version.cuda,
    "cudnn": str(cudnn // (10000 if cudnn >= 90000 else 1000)),
    "kernels": torch._C._cuda_getArchFlags().split(),
}))
""",
    "tf": """
import json, tensorflow as tf
said = tf.sysconfig.get_build_info()
print(json.dumps({
    "cuda": said["cuda_version"],
    "cudnn": said["cudnn_version"].split(".")[0],
    "kernels": said["cuda_compute_capabilities"],
}))
""",
}


@pytest.mark.parametrize(
    "env", [e for e in MATRIX.envs if e.variant == "gpu" and e.status is not Status.IMPOSSIBLE], ids=lambda e: e.name
)
def test_the_table_is_what_the_build_says(client: Any, env: Env) -> None:
    try:
        image = client.images.get(env.tag)
    except docker.errors.ImageNotFound:
        pytest.skip(f"{env.tag} is not on this engine; build it: python -m dlmatrix run {env.name} --engine docker")
    answer = client.containers.run(
        image.id,
        command=["-c", ASK[family(env)]],
        entrypoint=["python"],
        labels={"dlmatrix.env": ""},
        network_mode="none",
        remove=True,
        stderr=False,
    )
    found = json.loads(answer.splitlines()[-1])
    said = Said(cuda=found["cuda"], cudnn=found["cudnn"], kernels=tuple(found["kernels"]))
    build = TABLE.build_of(env)
    assert build
    assert disagreements(build, said) == ()
