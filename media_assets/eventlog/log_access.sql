-- Who may do what with the log and the operational tables; safe to repeat. access.sql has the rows of single users.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = 'event_payloads'::regclass) THEN
        ALTER TABLE event_payloads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY everything ON event_payloads TO CURRENT_USER, media_assets_app, media_assets_relay, media_assets_eraser
            USING (true) WITH CHECK (true);
        CREATE POLICY of_own_events ON event_payloads FOR SELECT TO media_assets_api
            USING (EXISTS (SELECT FROM events e WHERE e.event_id = event_payloads.event_id));
    END IF;
END $$;
GRANT USAGE ON SCHEMA public TO media_assets_app, media_assets_api, media_assets_relay, media_assets_eraser;
GRANT SELECT ON events, event_payloads, told TO media_assets_app, media_assets_api, media_assets_relay;
GRANT SELECT ON events TO media_assets_eraser;

GRANT SELECT, INSERT, UPDATE, DELETE ON claims, breakers, requested_runs, contact_sheets TO media_assets_app;
GRANT SELECT ON subscribers, outbox_held, erasures, event_types TO media_assets_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON subscribers, outbox_held TO media_assets_relay;
GRANT SELECT, INSERT, UPDATE ON erasures TO media_assets_eraser;
GRANT SELECT, DELETE ON contact_sheets TO media_assets_eraser;
