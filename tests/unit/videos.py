"""Videos for tests, made by ffmpeg on the spot: every container, every oddity. Each is made once a session."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import imageio_ffmpeg

WIDTH, HEIGHT, RATE, SECONDS = 160, 120, 10, 2
"""What every video has unless its name says otherwise; a keyframe each half second."""

_PICTURE = ("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate={RATE}:duration={SECONDS}")
_TONE = ("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={SECONDS}")
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", str(RATE // 2), "-keyint_min", "1")
_H265 = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-tag:v", "hvc1")
_VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", str(RATE // 2))
_AAC = ("-c:a", "aac", "-b:a", "32k")
_OPUS = ("-c:a", "libopus", "-b:a", "32k")
_BT2020 = "setparams=color_primaries=bt2020:colorspace=bt2020nc:color_trc="

_MADE: dict[str, tuple[str, ...]] = {
    "mp4": (*_PICTURE, *_TONE, *_H264, *_AAC, "-movflags", "+faststart", ".mp4"),
    "moov_last": (*_PICTURE, *_TONE, *_H264, *_AAC, ".mp4"),
    "fragmented": (*_PICTURE, *_TONE, *_H264, *_AAC, "-movflags", "frag_keyframe+empty_moov", ".mp4"),
    "mov": (*_PICTURE, *_TONE, *_H264, *_AAC, ".mov"),
    "mkv": (*_PICTURE, *_TONE, *_H264, *_AAC, ".mkv"),
    "webm": (*_PICTURE, *_TONE, *_VP9, *_OPUS, ".webm"),
    "webm_live": (*_PICTURE, *_TONE, *_VP9, *_OPUS, "-live", "1", ".webm"),
    "avi": (*_PICTURE, *_TONE, "-c:v", "mpeg4", "-g", "5", "-c:a", "libmp3lame", ".avi"),
    "ts": (*_PICTURE, *_TONE, *_H264, *_AAC, ".ts"),
    "m2ts": (*_PICTURE, *_TONE, *_H264, *_AAC, "-mpegts_m2ts_mode", "1", ".ts"),
    "3gp": (*_PICTURE, *_H264, ".3gp"),
    "silent": (*_PICTURE, *_H264, ".mp4"),
    "two_audio": (
        *_PICTURE, *_TONE, "-f", "lavfi", "-i", f"sine=frequency=880:sample_rate=44100:duration={SECONDS}",
        "-map", "0", "-map", "1", "-map", "2", *_H264, *_AAC, "-ac:a:0", "2",
        "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", ".mp4",
    ),
    "odd": (*_PICTURE, "-vf", f"scale={WIDTH + 1}:{HEIGHT + 1}", *_VP9, "-pix_fmt", "yuv420p", ".webm"),
    "vfr": (
        # The first second has all its pictures, of the second every third.
        *_PICTURE, "-vf", r"select=lt(n\,10)+not(mod(n\,3))", "-fps_mode", "vfr", *_H264, ".mp4",
    ),
    "hdr": (*_PICTURE, "-vf", f"{_BT2020}smpte2084", *_H265, "-x265-params", "log-level=none", ".mp4"),
    "hlg": (*_PICTURE, "-vf", f"{_BT2020}arib-std-b67", *_H265, "-x265-params", "log-level=none", ".mp4"),
    "anamorphic": (*_PICTURE, "-vf", "setsar=4/3", *_H264, ".mp4"),
    "shots": (
        *(part for colour in ("red", "green", "blue")
          for part in ("-f", "lavfi", "-i", f"color={colour}:size={WIDTH}x{HEIGHT}:rate={RATE}:duration=1")),
        "-filter_complex", "[0][1][2]concat=n=3", *_H264, ".mp4",
    ),
    "sound": (*_TONE, *_AAC, ".mp4"),
    "flv": (*_PICTURE, "-c:v", "flv", ".flv"),
    "wmv": (*_PICTURE, "-c:v", "wmv2", "-f", "asf", ".wmv"),
    "mpg": (*_PICTURE, "-r", "25", "-c:v", "mpeg2video", ".mpg"),
    "ogv": (*_PICTURE, "-c:v", "libtheora", ".ogv"),
}  # fmt: skip
_TURNED = {"rotated_90": 90, "rotated_180": 180, "rotated_270": 270}
"""By name, how many degrees clockwise show it upright."""

NAMES = (*_MADE, *_TURNED, "cover")


class Videos:
    """Videos in a folder that the session's processes share; each is there whole or not at all.

    Names: mp4 (faststart, H.264 and AAC), moov_last, fragmented, mov, mkv, webm (VP9 and Opus), webm_live (as browsers
    record it: no duration), avi (MPEG-4 and MP3), ts, m2ts, 3gp; silent, two_audio (eng stereo, deu mono), odd (161 × 121),
    vfr, hdr (PQ), hlg, anamorphic (pixels 4:3), rotated_90/180/270 (clockwise, to show it upright), shots (3 s: red, green,
    blue), cover (with an attached picture). Not accepted: sound, flv, wmv, mpg, ogv.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, name: str) -> Path:
        """The file of a name above."""
        if name in _TURNED:
            turn = str((360 - _TURNED[name]) % 360)  # ffmpeg counts counterclockwise
            return self.make("-display_rotation", turn, "-i", str(self("mp4")), "-c", "copy", ".mp4")
        if name == "cover":
            picture = self.make(*_PICTURE, "-frames:v", "1", ".png")
            return self.make(
                "-i", str(self("mp4")), "-i", str(picture), "-map", "0", "-map", "1",
                "-c", "copy", "-disposition:v:1", "attached_pic", ".mp4",
            )  # fmt: skip
        return self.make(*_MADE[name])

    def make(self, *arguments: str) -> Path:
        """The file that ffmpeg makes of these arguments, whose last is the ending of its name."""
        *options, ending = arguments
        made = self._folder / (hashlib.sha256(repr(arguments).encode()).hexdigest()[:16] + ending)
        if not made.exists():
            unfinished = made.with_name(f"{os.getpid()}-{made.name}")
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *options, "-threads", "1"]
            subprocess.run([*command, "-bitexact", str(unfinished)], check=True, capture_output=True)
            unfinished.replace(made)
        return made
