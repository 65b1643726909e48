-- Payloads as they are told today: each version ever written, brought to the newest one step at a time. Folds and readers
-- see payloads through `told` and nowhere else, so that an old event means the same to both.
--
-- A step is one line that hands the next version's body on, so that what was changed twice takes both steps. Versions
-- without one are today's.
CREATE OR REPLACE FUNCTION upcast(type text, schema_version integer, body jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN type = 'StepFailed' AND schema_version = 1 THEN upcast(type, 2, body - 'attempt_id')  -- a clear column since
        WHEN type = 'MediaProbed' AND schema_version = 1 THEN upcast(type, 2, body || '{"video": null}')  -- all were pictures
        ELSE body
    END
$$;

-- Events with what they say. Erased payloads are gone, and so are their events from here.
CREATE OR REPLACE VIEW told WITH (security_invoker = true) AS
    SELECT e.*, upcast(e.type, e.schema_version, p.body) AS body
    FROM events e JOIN event_payloads p USING (event_id);
