-- Object versions: what arrived, what the probe measured, whether it was removed. What is said of a version before it
-- arrived is said of nothing, in whichever batches the events are folded.
CREATE OR REPLACE FUNCTION fold_arrivals(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO uploads (item_id, version_id, user_id, bucket, key, etag, size_bytes, sequencer, hour, received_at, position,
                         event_id)
    SELECT e.item_id, e.body->>'version_id', e.user_id, e.body->>'bucket', e.body->>'key', e.body->>'etag',
           (e.body->>'size_bytes')::bigint, e.body->>'sequencer', (e.body->>'hour')::timestamptz, e.occurred_at, e.position,
           e.event_id
    FROM public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'UploadReceived'
    ON CONFLICT DO NOTHING;
$$;

-- Frames are told of as they are: nothing is left to measure.
CREATE OR REPLACE FUNCTION fold_frames_received(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO uploads (item_id, version_id, user_id, bucket, key, etag, size_bytes, sequencer, hour, received_at, position,
                         event_id, kind, format, content_type, width, height, orientation, frames, exif, parent_item_id,
                         parent_version_id, parent_generation, parent_result_id, timecode_ms, is_poster)
    SELECT e.item_id, e.body->>'version_id', e.user_id, e.body->>'bucket', e.body->>'key', e.body->>'etag',
           (e.body->>'size_bytes')::bigint, '', (e.body->>'hour')::timestamptz, e.occurred_at, e.position, e.event_id, 'frame',
           e.body->>'format', e.body->>'content_type', (e.body->>'width')::integer, (e.body->>'height')::integer, 1, 1, '{}',
           (e.body->>'parent_item_id')::uuid, e.body->>'parent_version_id', (e.body->>'parent_generation')::integer,
           e.causation_id, (e.body->>'timecode_ms')::bigint, (e.body->>'is_poster')::boolean
    FROM public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'FrameReceived'
    ON CONFLICT DO NOTHING;
$$;

-- Of the highest generation, the measurement that was stored first.
CREATE OR REPLACE FUNCTION fold_measurements(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE uploads u
    SET kind = m.body->>'kind', format = m.body->>'format', content_type = m.body->>'content_type',
        width = (m.body->>'width')::integer, height = (m.body->>'height')::integer,
        orientation = (m.body->>'orientation')::integer, frames = (m.body->>'frames')::integer, exif = m.body->'exif',
        duration_ms = (m.body->'video'->>'duration_ms')::bigint, video = nullif(m.body->'video', 'null'),
        probe_generation = m.generation
    FROM (
        SELECT DISTINCT ON (e.item_id, e.body->>'version_id') e.item_id, e.generation, e.body
        FROM public.told e
        JOIN uploads arrived ON arrived.item_id = e.item_id AND arrived.version_id = e.body->>'version_id'
                            AND arrived.position < e.position
        WHERE e.position BETWEEN first AND last AND e.type = 'MediaProbed'
        ORDER BY e.item_id, e.body->>'version_id', e.generation DESC, e.position
    ) m
    WHERE u.item_id = m.item_id AND u.version_id = m.body->>'version_id'
      AND (u.probe_generation IS NULL OR m.generation > u.probe_generation);
$$;

CREATE OR REPLACE FUNCTION fold_removals(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE uploads u
    SET removed_at = e.occurred_at
    FROM public.told e
    WHERE e.position BETWEEN first AND last AND e.type = 'UploadRemoved'
      AND u.item_id = e.item_id AND u.version_id = e.body->>'version_id' AND u.position < e.position;
$$;

-- The version of an item that counts: the newest by sequencer that is still in the bucket. Padding the shorter sequencer
-- with zeros on the right, as S3 asks for, is left out: no digit sorts before zero, so it changes no order.
CREATE OR REPLACE FUNCTION current_upload(wanted uuid) RETURNS SETOF uploads LANGUAGE sql STABLE AS $$
    SELECT * FROM uploads WHERE item_id = wanted
    ORDER BY (removed_at IS NOT NULL), sequencer COLLATE "C" DESC, position DESC LIMIT 1
$$;

-- Whether a frame stands for its video today: it is of the version that counts, and of the result that counts.
CREATE OR REPLACE FUNCTION is_current_frame(parent uuid, of_version text, of_result uuid) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (
        SELECT FROM current_upload(parent) u
        WHERE u.version_id = of_version AND u.removed_at IS NULL AND of_result = (
            SELECT r.event_id FROM step_results r
            WHERE r.item_id = parent AND r.version_id = of_version AND r.step = 'frames' AND r.outcome = 'done'
            ORDER BY r.generation DESC LIMIT 1
        )
    )
$$;
