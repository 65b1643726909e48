-- What each step came to, per version and generation: the first conclusive outcome counts.
CREATE OR REPLACE FUNCTION fold_step_results(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO step_results (item_id, version_id, step, generation, user_id, recipe, outcome, error_code, error_message,
                              finished_at, run_id)
    SELECT DISTINCT ON (e.item_id, p.body->>'version_id', e.step, e.generation)
           e.item_id, p.body->>'version_id', e.step, e.generation, e.user_id, e.recipe,
           CASE e.type WHEN 'UploadRejected' THEN 'rejected' ELSE 'done' END, p.body->>'code', p.body->>'message',
           e.occurred_at, e.run_id
    FROM public.events e JOIN public.event_payloads p USING (event_id)
    WHERE e.position BETWEEN first AND last
      AND e.type IN ('MediaProbed', 'UploadRejected', 'ThumbnailCreated', 'AnalysisCompleted', 'EmbeddingStored')
    ORDER BY e.item_id, p.body->>'version_id', e.step, e.generation, e.position
    ON CONFLICT DO NOTHING;
$$;
