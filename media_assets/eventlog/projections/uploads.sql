-- Object versions: what arrived, what the probe measured, whether it was rejected or removed.
CREATE OR REPLACE FUNCTION fold_uploads(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO uploads (item_id, version_id, user_id, bucket, key, etag, size_bytes, sequencer, hour, received_at, position)
    SELECT e.item_id, p.body->>'version_id', e.user_id, p.body->>'bucket', p.body->>'key', p.body->>'etag',
           (p.body->>'size_bytes')::bigint, p.body->>'sequencer', (p.body->>'hour')::timestamptz, e.occurred_at, e.position
    FROM public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last AND e.type = 'UploadReceived'
    ON CONFLICT DO NOTHING;

    UPDATE uploads u
    SET kind = m.body->>'kind', format = m.body->>'format', content_type = m.body->>'content_type',
        width = (m.body->>'width')::integer, height = (m.body->>'height')::integer,
        orientation = (m.body->>'orientation')::integer, frames = (m.body->>'frames')::integer, exif = m.body->'exif'
    FROM (
        SELECT DISTINCT ON (e.item_id, p.body->>'version_id') e.item_id, p.body
        FROM public.events e JOIN public.event_payloads p USING (event_id)
        WHERE e.position BETWEEN first AND last AND e.type = 'MediaProbed'
        ORDER BY e.item_id, p.body->>'version_id', e.position DESC
    ) m
    WHERE u.item_id = m.item_id AND u.version_id = m.body->>'version_id';

    -- A later successful probe (asked for again by a person) takes a rejection back.
    UPDATE uploads u
    SET rejection_code = m.body->>'code', rejection_message = m.body->>'message'
    FROM (
        SELECT DISTINCT ON (e.item_id, p.body->>'version_id') e.item_id, p.body
        FROM public.events e JOIN public.event_payloads p USING (event_id)
        WHERE e.position BETWEEN first AND last AND e.type IN ('MediaProbed', 'UploadRejected')
        ORDER BY e.item_id, p.body->>'version_id', e.position DESC
    ) m
    WHERE u.item_id = m.item_id AND u.version_id = m.body->>'version_id';

    UPDATE uploads u
    SET removed_at = e.occurred_at
    FROM public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last AND e.type = 'UploadRemoved'
      AND u.item_id = e.item_id AND u.version_id = p.body->>'version_id';
$$;
