-- One row an item: its current version and, in one word, how far it is. A frame that no longer stands for its video is removed.
CREATE OR REPLACE FUNCTION fold_items(touched uuid[]) RETURNS void LANGUAGE sql AS $$
    INSERT INTO items AS i (item_id, user_id, bucket, key, version_id, etag, size_bytes, hour, received_at, state, kind,
                            format, content_type, width, height, orientation, exif, rejection_code, rejection_message,
                            duration_ms, video, parent_item_id, timecode_ms, is_poster)
    SELECT u.item_id, u.user_id, u.bucket, u.key, u.version_id, u.etag, u.size_bytes, u.hour, u.received_at,
           CASE WHEN u.removed_at IS NOT NULL THEN 'removed'
                WHEN u.parent_item_id IS NOT NULL
                     AND NOT is_current_frame(u.parent_item_id, u.parent_version_id, u.parent_result_id) THEN 'removed'
                WHEN s.rejected THEN 'rejected'
                WHEN s.dead THEN 'failed'
                WHEN s.finished THEN 'done'
                WHEN u.kind IS NOT NULL THEN 'processing'
                ELSE 'received' END,
           u.kind, u.format, u.content_type, u.width, u.height, u.orientation, u.exif, s.rejection_code, s.rejection_message,
           u.duration_ms, u.video, u.parent_item_id, u.timecode_ms, u.is_poster
    FROM unnest(touched) t (item_id)
    CROSS JOIN LATERAL current_upload(t.item_id) u
    LEFT JOIN LATERAL (
        SELECT bool_or(state = 'rejected') AS rejected, bool_or(state = 'dead') AS dead, bool_and(state = 'done') AS finished,
               min(error_code) FILTER (WHERE state = 'rejected') AS rejection_code,
               min(error_message) FILTER (WHERE state = 'rejected') AS rejection_message
        FROM steps WHERE item_id = u.item_id
    ) s ON true
    ON CONFLICT (item_id) DO UPDATE
    SET version_id = excluded.version_id, etag = excluded.etag, size_bytes = excluded.size_bytes, hour = excluded.hour,
        received_at = excluded.received_at, state = excluded.state, kind = excluded.kind, format = excluded.format,
        content_type = excluded.content_type, width = excluded.width, height = excluded.height,
        orientation = excluded.orientation, exif = excluded.exif, rejection_code = excluded.rejection_code,
        rejection_message = excluded.rejection_message, duration_ms = excluded.duration_ms, video = excluded.video,
        parent_item_id = excluded.parent_item_id, timecode_ms = excluded.timecode_ms, is_poster = excluded.is_poster
    WHERE i.* IS DISTINCT FROM excluded.*;
$$;
