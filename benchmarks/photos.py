"""One photo and a hundred of them through the running one-machine stack, sensors on: seconds, files/s, peak memory.

    media-assets up && .venv/bin/python benchmarks/photos.py [--photos 100]

The photos are distinct crops of the samples, 1 to 12 megapixels. Memory is the resident size of Dagster's processes (code
server, daemon, webserver and the runs), sampled five times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from media_assets.cli import connection
from media_assets.cli.uploading import follow, put
from media_assets.local.processes import marked

SAMPLES = sorted((Path(__file__).resolve().parents[1] / "samples").glob("*.*g"))
KEPT = Path(__file__).resolve().parents[1] / "build" / "bench-photos"
MEGAPIXELS = range(1, 13)


def make_photos(count: int, folder: Path) -> list[Path]:
    """Distinct JPEGs of 1 to 12 megapixels; number n is the same one whatever the count. Those that are there stay."""
    random = np.random.default_rng(2026)
    sources = [Image.open(path).convert("RGB") for path in SAMPLES]
    paths = []
    for number in range(count):
        source = sources[number % len(sources)]
        area = MEGAPIXELS[number % len(MEGAPIXELS)] * 1_000_000
        left, top = (int(random.integers(0, side // 8)) for side in source.size)
        crop = source.crop((left, top, source.width - left // 2, source.height - top // 2))
        scale = (area / (crop.width * crop.height)) ** 0.5
        path = folder / f"{number:04d}.jpg"
        paths.append(path)
        if not path.exists():
            photo = crop.resize((round(crop.width * scale), round(crop.height * scale)), Image.Resampling.BICUBIC)
            photo.save(path.with_suffix(".unfinished"), "JPEG", quality=88)
            path.with_suffix(".unfinished").rename(path)
    return paths


def kept_photos(count: int) -> list[Path]:
    """The same in build/bench-photos, where they stay for other benchmarks: 1,000 are 1 GB and take a minute or two."""
    KEPT.mkdir(parents=True, exist_ok=True)
    return make_photos(count, KEPT)


class MemoryWatch(threading.Thread):
    """Peak resident megabytes of the largest process of Dagster and of all of them together."""

    def __init__(self, mark: str) -> None:
        super().__init__(daemon=True)
        self.mark, self.largest, self.together, self.ended = mark, 0.0, 0.0, threading.Event()

    def run(self) -> None:
        processes: list[psutil.Process] = []
        looked = 0.0
        while not self.ended.wait(0.2):
            if time.monotonic() - looked > 1:
                processes, looked = marked(self.mark), time.monotonic()
            sizes = []
            for process in processes:
                with suppress(psutil.Error):
                    sizes.append(process.memory_info().rss / 1e6)
            self.largest = max(self.largest, *sizes, 0.0)
            self.together = max(self.together, sum(sizes))


def upload_and_wait(paths: list[Path], user: str) -> tuple[float, list[float]]:
    """Seconds from the first PUT to the last photo's end, and each photo's own."""
    began = time.monotonic()
    uploads = [put(connection.s3(), connection.settings().bucket, path, f"uploads/{user}/{path.name}") for path in paths]
    follow(connection.store().engine, uploads, timeout_seconds=600)
    failed = [upload for upload in uploads if upload.state != "done"]
    if failed:
        raise SystemExit(f"{len(failed)} of {len(paths)} photos did not make it: {failed[0].code}: {failed[0].message}")
    return time.monotonic() - began, [upload.seconds or 0 for upload in uploads]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--photos", type=int, default=100)
    count = arguments.parse_args().photos
    settings = connection.settings()
    run = f"bench-{int(time.time())}"
    with tempfile.TemporaryDirectory() as folder:
        paths = make_photos(count, Path(folder))
        singles = [upload_and_wait([paths[number]], f"{run}-single-{number}")[0] for number in range(5)]
        watch = MemoryWatch(f"dagster:{settings.state_dir / 'dagster'}")
        watch.start()
        seconds, _ = upload_and_wait(paths, run)
        watch.ended.set()
        watch.join()
    print(
        json.dumps(
            {
                "one_photo_seconds": [round(each, 1) for each in singles],
                "one_photo_median_seconds": round(statistics.median(singles), 1),
                "photos": count,
                "files_per_second": round(count / seconds, 2),
                "largest_dagster_process_mb": round(watch.largest),
                "all_dagster_processes_mb": round(watch.together),
                "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
                "load_average": os.getloadavg()[0],
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
