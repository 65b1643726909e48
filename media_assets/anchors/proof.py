"""The log against its anchors: whether it is what it was, and an anchor more when it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, text

from media_assets.anchors.bucket import Anchor, AnchorBucket, Anchors
from media_assets.eventlog.verify import Broken, NoSuchPositionError, Verified, cut_off, verify_chain


class LogBrokenError(Exception):
    """The log is not what was appended to it; the message says where it breaks."""

    def __init__(self, broken: Broken) -> None:
        super().__init__(f"{broken}; nothing was anchored")
        self.broken = broken


@dataclass(frozen=True)
class Proof:
    """`evidence` are signs that somebody tampered with anchors."""

    chain: Verified | Broken
    evidence: tuple[str, ...]

    @property
    def is_intact(self) -> bool:
        return isinstance(self.chain, Verified) and not self.evidence


def prove(
    engine: Engine,
    bucket: AnchorBucket | None,
    since: int = 0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Proof:
    """Verify the log from after `since` on, against the anchors in `bucket` if there is one. Raises as `verify_chain`."""
    # Anchors first: the log may grow in the meantime, but not they.
    anchors = bucket.read(since) if bucket else Anchors((), ())
    with engine.connect() as connection:
        try:
            return Proof(verify_chain(connection, since, anchors.hashes, on_progress), anchors.evidence)
        except NoSuchPositionError as error:
            newest = bucket.newest_position() if bucket else 0
            if newest <= error.head:
                raise
            return Proof(cut_off(error.head, newest), anchors.evidence)


def anchor_log(engine: Engine, bucket: AnchorBucket, stage: str, now: datetime) -> tuple[Proof, Anchor | None]:
    """Verify what was appended since the last anchor and write another one. None: nothing was appended, or somebody else
    has just anchored it.

    Raises LogBrokenError instead of anchoring a log that is broken. That somebody tampered with anchors is no reason to have
    fewer of them: the proof says so, and the anchor is written.
    """
    proof = prove(engine, bucket, bucket.newest_position())
    return proof, write_anchor(engine, bucket, proof, stage, now)


def write_anchor(engine: Engine, bucket: AnchorBucket, proof: Proof, stage: str, now: datetime) -> Anchor | None:
    """Anchor the head that a proof came to. Returns and raises what `anchor_log` does."""
    if isinstance(proof.chain, Broken):
        raise LogBrokenError(proof.chain)
    if proof.chain.head <= bucket.newest_position():
        return None
    with engine.connect() as connection:
        event_id, recorded_at = connection.execute(
            text("SELECT event_id, recorded_at FROM events WHERE position = :head"), {"head": proof.chain.head}
        ).one()
    anchor = Anchor(
        position=proof.chain.head,
        hash=proof.chain.hash.hex(),
        event_id=event_id,
        recorded_at=recorded_at,
        anchored_at=now,
        stage=stage,
    )
    return anchor if bucket.write(anchor) else None
