"""A bucket as the stack makes it for anchors."""

from __future__ import annotations

import uuid
from typing import Any


def locked_bucket(s3: Any) -> str:
    """The name of a new versioned bucket in which whatever is written is locked for a day."""
    name = f"anchors-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    return name
