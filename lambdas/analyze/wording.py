"""Puts what the embedded models and the camera say into an English sentence that claims no more than they know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from lambdas.analyze.schema import DominantColour
from lambdas.runtime.vision.detection import Detection

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_PLURALS = {"person": "people", "knife": "knives", "mouse": "mice", "sheep": "sheep", "broccoli": "broccoli"}
_ARE_PLURAL = {"skis", "scissors"}
_WITHOUT_ARTICLE = _ARE_PLURAL | {
    "binoculars", "clogs", "coffee", "jeans", "mashed potatoes", "pajamas", "parallel bars", "sunglasses", "swim trunks",
    "trousers", "glasses", "bread", "broccoli", "cabbage", "carbonara", "chain mail", "chocolate syrup", "clothing",
    "consomme", "corn", "cutlery", "cookware", "dough", "eggnog", "face powder", "guacamole", "hair spray", "hay",
    "ice cream", "lotion", "perfume", "red wine", "sunscreen", "swimwear", "tableware", "toilet paper", "underwear",
    "velvet fabric", "wool", "armour", "cosmetics", "street furniture", "writing material", "camping gear", "rapeseed",
    "baseball gear", "sports equipment", "gym equipment",
}  # fmt: skip
_VOWEL_SOUNDS = tuple("aeiouAEIOU")
_CONSONANT_SOUNDS = ("uni", "one-")
_LARGE_AREA = 0.6
_PROMINENT_SHARE = 0.12
_MOSTLY = 0.4
_MOST_NAMES = 6
_MOST_CAMERA_CHARACTERS = 60


def summary(
    impression: str | None, detections: Sequence[Detection], colours: Sequence[DominantColour], exif: Mapping[str, Any]
) -> str:
    """One sentence from what the picture looks like (if that is known), what is in it, its colours, its camera."""
    parts = [impression or ""]
    if detections:
        parts.append(f"{_listed(_counted(detections))} detected")
    if not any(parts):
        parts.append("nothing in it was recognised with certainty")
    if prominent := [colour for colour in colours if colour.share >= _PROMINENT_SHARE][:2]:
        extent = "mostly" if sum(colour.share for colour in prominent) >= _MOSTLY else "partly"
        parts.append(f"{extent} {_listed([colour.name for colour in prominent])}")
    parts.append(_taken(exif))
    sentence = "; ".join(part for part in parts if part)
    return f"{sentence[0].upper()}{sentence[1:]}."


def description(detection: Detection) -> str:
    """Where a detected thing is and how sure the detector was."""
    name = with_article(detection.name)
    return f"{name[0].upper()}{name[1:]}, {_place(detection)}; the detector is {detection.confidence:.0%} sure."


def with_article(name: str) -> str:
    if name in _WITHOUT_ARTICLE:
        return name
    has_vowel = name.startswith(_VOWEL_SOUNDS) and not name.startswith(_CONSONANT_SOUNDS)
    return f"{'an' if has_vowel else 'a'} {name}"


def _counted(detections: Sequence[Detection]) -> list[str]:
    counts = Counter(detection.name for detection in detections)
    phrases = [
        f"{_NUMBERS[count] if count < len(_NUMBERS) else count} {_plural(name) if count > 1 else name}"
        for name, count in counts.items()
    ]
    return phrases if len(phrases) <= _MOST_NAMES else [*phrases[:_MOST_NAMES], "more"]


def _plural(name: str) -> str:
    if name in _ARE_PLURAL:
        return name
    if name in _PLURALS:
        return _PLURALS[name]
    return name + ("es" if name.endswith(("s", "ch", "sh", "x")) else "s")


def _listed(words: Sequence[str]) -> str:
    """a · a and b · a, b and c"""
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def _place(detection: Detection) -> str:
    if detection.area > _LARGE_AREA:
        return "filling most of the picture"
    across = _third((detection.left + detection.right) / 2, "left", "right")
    down = _third((detection.top + detection.bottom) / 2, "top", "bottom")
    if across and down:
        return f"at the {down} {across}"
    return f"at the {down}" if down else f"on the {across}" if across else "in the middle"


def _third(position: float, first: str, last: str) -> str:
    return first if position < 1 / 3 else last if position > 2 / 3 else ""


def _taken(exif: Mapping[str, Any]) -> str:
    """When and with which camera, as far as the camera said; its words are a stranger's and kept short."""
    parts = []
    if taken_at := exif.get("taken_at"):
        parts.append(f"in {datetime.fromisoformat(taken_at):%B %Y}")
    make, model = (" ".join(str(exif.get(key, "")).split()) for key in ("camera_make", "camera_model"))
    camera = model if model.lower().startswith(make.lower()) else f"{make} {model}".strip()
    if camera := "".join(character for character in camera if character.isprintable())[:_MOST_CAMERA_CHARACTERS]:
        parts.append(f"with {with_article(camera)}")
    return f"taken {' '.join(parts)}" if parts else ""
