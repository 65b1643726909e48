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

-- Of the highest generation, the measurement that was stored first.
CREATE OR REPLACE FUNCTION fold_measurements(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    UPDATE uploads u
    SET kind = m.body->>'kind', format = m.body->>'format', content_type = m.body->>'content_type',
        width = (m.body->>'width')::integer, height = (m.body->>'height')::integer,
        orientation = (m.body->>'orientation')::integer, frames = (m.body->>'frames')::integer, exif = m.body->'exif',
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
