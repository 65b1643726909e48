"""segment_copy, segment_overlay: a video of a minute into six segments, against one ffmpeg process that does nothing else.

Ours is the step as a worker runs it, but for the way to S3 and back: its storage is a folder that files are linked into.
Finding out what the file is, cutting with the index first, looking at what came out, and digests of it are in it. ffmpeg
alone cuts. The video is 1080p at 30 a second, 8 Mbit/s of H.264 with sound, a keyframe every two seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from benchmarks.figure import Figure, Goal, compare, in_turn
from benchmarks.one_photo import LocalFolder
from lambdas.probe.handler import probe
from lambdas.runtime.contract import BatchItem, OutputObject
from lambdas.runtime.step import StepContext
from lambdas.segment.handler import process as segment
from lambdas.segment.overlay import render
from media_assets.settings import Settings
from media_assets.steps.video import video_limits

COPY_ROUNDS, OVERLAY_ROUNDS = 9, 3
SECONDS, SEGMENT_SECONDS = 60, 10
TEXT = "Ride on"
_UNIT = "× real time"
_CUTS_MS = [[start * 1000, (start + SEGMENT_SECONDS) * 1000] for start in range(0, SECONDS, SEGMENT_SECONDS)]


class _Folder(LocalFolder):
    def download(self, item: BatchItem, path: Path, limit_bytes: int) -> None:
        path.hardlink_to(item.key)

    def write_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        content_type: str,
        attributes: dict[str, Any] | None = None,
        *,
        identified: bool = False,
    ) -> OutputObject:
        with path.open("rb") as file:
            digest, size_bytes = hashlib.file_digest(file, "sha256").hexdigest(), file.tell()
        stored = self._folder / key
        stored.parent.mkdir(parents=True, exist_ok=True)
        stored.hardlink_to(path)
        return OutputObject(key=key, sha256=digest, size_bytes=size_bytes, content_type=content_type)

    def write_json(self, bucket: str, key: str, value: dict[str, Any]) -> tuple[dict[str, Any], OutputObject]:
        return value, self.write(bucket, key, json.dumps(value).encode(), "application/json")


def run_copy() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        video = make_video(folder / "minute.mp4")
        alone, same = Alone(video, folder, None), Alone(video, folder, None, index_first=True)
        ours, plain, with_index = in_turn(COPY_ROUNDS, Step(video, folder, None).rate, alone.rate, same.rate)
        yield compare("segment_copy", "60 s of 1080p", _UNIT, ours, plain, Goal("≥", 0.9))
        yield compare("segment_copy", "ffmpeg, index first", _UNIT, ours, with_index)


def run_overlay() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        video = make_video(folder / "minute.mp4")
        ours, alone = in_turn(OVERLAY_ROUNDS, Step(video, folder, TEXT).rate, Alone(video, folder, TEXT).rate)
        yield compare("segment_overlay", "60 s of 1080p", _UNIT, ours, alone, Goal("≥", 1.0))


def make_video(path: Path) -> Path:
    """A moving test picture with a tone."""
    _ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate=30:duration={SECONDS}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:duration={SECONDS}"),
        *("-c:v", "libx264", "-preset", "veryfast", "-b:v", "8M", "-g", "60", "-pix_fmt", "yuv420p", "-c:a", "aac"),
        str(path),
    )
    return path


class Step:
    """The step's own function, on a folder."""

    def __init__(self, video: Path, folder: Path, text: str | None) -> None:
        settings = Settings()
        self._video, self._folder, self._text = video, folder / "step", text
        recipe = {"exact": False, "crf": settings.segment_crf, "preset": settings.segment_preset}
        cut = {"type": "fixed", "duration_seconds": SEGMENT_SECONDS}
        self._parameters = {"cut": cut, "text": text and {"strategy": "one_for_all"}, **recipe, **video_limits(settings)}
        limits = {"max_bytes": settings.max_upload_bytes, "max_pixels": settings.max_pixels, **video_limits(settings)}
        found = probe(self._item({}), self._context("probe", limits)).result
        self._facts = {"video": found["video"], "width": found["upright_width"], "height": found["upright_height"]}

    def rate(self, _: int) -> float:
        plan = {"cuts_ms": _CUTS_MS, "texts": self._text and [self._text] * len(_CUTS_MS)}
        item, context = self._item(self._facts | plan), self._context("segment", self._parameters)
        began = time.perf_counter()
        result = segment(item, context).result
        took = time.perf_counter() - began
        if len(result["segments"]) != len(_CUTS_MS):
            raise RuntimeError(f"{len(result['segments'])} segments instead of {len(_CUTS_MS)}")
        shutil.rmtree(self._folder)
        return SECONDS / took

    def _item(self, facts: dict[str, Any]) -> BatchItem:
        return BatchItem(
            item_id=str(uuid.uuid4()),
            bucket="local",
            key=str(self._video),
            version_id="v1",
            size_bytes=self._video.stat().st_size,
            generation=0,
            output_prefix="made/",
            input=facts,
        )

    def _context(self, step: str, parameters: dict[str, Any]) -> StepContext:
        return StepContext(
            step=step,
            recipe="bench",
            parameters=parameters,
            attempt=1,
            storage=_Folder(self._folder),
            log=logging.getLogger(step),
            remaining_milliseconds=lambda: 900_000,
        )


class Alone:
    """One ffmpeg, the same cuts; with a text, the same picture over it and the same encoder. Our segments have their index
    first, as browsers want it; with `index_first` its have, too."""

    def __init__(self, video: Path, folder: Path, text: str | None, *, index_first: bool = False) -> None:
        self._folder = folder / "alone"
        settings, layer = Settings(), folder / "text.png"
        cuts = ["-f", "segment", "-segment_time", str(SEGMENT_SECONDS), "-reset_timestamps", "1"]
        if index_first:
            cuts += ["-segment_format_options", "movflags=+faststart"]
        if text is None:
            self._arguments = ["-i", str(video), "-map", "0", "-c", "copy", *cuts]
        else:
            render(text, 1920, 1080).save(layer)
            encoder = ["-c:v", "libx264", "-preset", settings.segment_preset, "-crf", str(settings.segment_crf)]
            forced = ["-force_key_frames", f"expr:gte(t,n_forced*{SEGMENT_SECONDS})"]
            over = ["-i", str(layer), "-filter_complex", "[0:v][1:v]overlay[v]", "-map", "[v]", "-map", "0:a"]
            self._arguments = ["-i", str(video), *over, *encoder, "-pix_fmt", "yuv420p", *forced, "-c:a", "copy", *cuts]

    def rate(self, _: int) -> float:
        self._folder.mkdir()
        began = time.perf_counter()
        _ffmpeg(*self._arguments, str(self._folder / "segment_%03d.mp4"))
        took = time.perf_counter() - began
        shutil.rmtree(self._folder)
        return SECONDS / took


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *arguments], check=True)
