-- Who may read what in the current schema; safe to repeat. Whoever may write a table of the log or a read model does so
-- through append_events and erase_items alone.
--
-- The API's role sees the rows of one user: `SET LOCAL media.user_id = '…'` in each transaction. Without it, it sees none
-- (after a transaction the setting is an empty string, not NULL). This is the last line against forgetfulness.
DO $$
DECLARE
    model text;
BEGIN
    FOR model IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id'
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND NOT c.relforcerowsecurity
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', model);
        EXECUTE format('CREATE POLICY everything ON %I TO CURRENT_USER, media_assets_app, media_assets_relay,
                        media_assets_eraser USING (true) WITH CHECK (true)', model);
        EXECUTE format('CREATE POLICY own_rows ON %I FOR SELECT TO media_assets_api
                        USING (user_id = nullif(current_setting(''media.user_id'', true), ''''))', model);
    END LOOP;
    FOR model IN
        SELECT c.relname FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
          AND c.relname = ANY (ARRAY['uploads', 'step_results', 'step_failures', 'requested_generations', 'thumbnails',
                                     'detections', 'analyses', 'embeddings', 'segments', 'jobs', 'costs', 'spending_stops', 'steps', 'items'])
    LOOP
        EXECUTE format('GRANT SELECT ON %I TO media_assets_app, media_assets_api', model);
    END LOOP;
    GRANT SELECT ON uploads, thumbnails, jobs TO media_assets_relay;  -- the keys that it publishes
    GRANT SELECT ON uploads, items, jobs TO media_assets_eraser;  -- where an item's objects are
END $$;
