-- Items' lives without their length: five events an item, small payloads, positions from %(first)s to %(last)s (multiples of
-- five apart). Ids are spread like real ones; digests and hashes have their length, and no chain leads through them.
WITH told AS (
    SELECT n AS position, (n - 1) / 5 AS item, md5('item ' || (n - 1) / 5)::uuid AS item_id, (n - 1) %% 5 + 1 AS version,
           md5('event ' || n)::uuid AS event_id, (ARRAY['UploadReceived', 'MediaProbed', 'ThumbnailCreated',
           'AnalysisCompleted', 'EmbeddingStored'])[(n - 1) %% 5 + 1] AS type,
           (ARRAY[NULL, 'probe', 'thumbnail', 'analyze', 'embed'])[(n - 1) %% 5 + 1] AS step,
           timestamptz '2026-06-01' + n * interval '1 second' AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
), payloads AS (
    INSERT INTO event_payloads (event_id, body)
    SELECT event_id, jsonb_build_object('version_id', 'v1') || CASE version
        WHEN 1 THEN jsonb_build_object('bucket', 'photos', 'key', 'uploads/ada/' || item || '.jpg', 'etag', md5(item::text),
                                       'size_bytes', 1000, 'sequencer', '01', 'hour', date_trunc('hour', at))
        WHEN 2 THEN '{"kind": "image", "format": "jpeg", "content_type": "image/jpeg", "width": 40, "height": 30,
                      "orientation": 1, "frames": 1, "exif": {}}'
        WHEN 3 THEN jsonb_build_object('placeholder', '3OcRJYB4d3h', 'thumbnails', jsonb_build_array(jsonb_build_object(
                        'size', 256, 'width', 256, 'height', 192, 'key', 'derived/' || item_id || '/256.webp',
                        'sha256', repeat('0', 64), 'size_bytes', 9000, 'content_type', 'image/webp')))
        WHEN 4 THEN '{"provider": "local", "model": "sight", "analysis": {"category": "animal", "summary": "A cat.",
                      "tags": ["cat"], "objects": [], "text": [], "dominant_colours": []}}'
        ELSE jsonb_build_object('analysis_id', md5('event ' || position - 1)::uuid, 'model', 'meaning', 'dimensions', 3,
                                'vector', '[1, 0, 0]'::jsonb) END
    FROM told
)
INSERT INTO events (position, event_id, stream_id, version, type, schema_version, occurred_at, recorded_at, user_id, item_id,
                    step, recipe, generation, target, run_id, milliseconds, correlation_id, payload_sha256, hash)
SELECT position, event_id, 'item-' || item_id, version, type, 1, at, at, 'ada', item_id, step,
       CASE WHEN step IS NOT NULL THEN 'r1' END, CASE WHEN step IS NOT NULL THEN 0 END,
       CASE WHEN step IS NOT NULL THEN 'lambda' END, CASE WHEN step IS NOT NULL THEN 'run-' || item / 1000 END,
       CASE WHEN step IS NULL THEN 0 ELSE 12 END, md5('event ' || position - version + 1)::uuid,
       sha256(int8send(position)), sha256(int8send(-position))
FROM told
