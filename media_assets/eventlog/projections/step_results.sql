-- What each step came to, per version and generation: the first conclusive outcome counts. A job's id is in the place of an
-- item's where the work is a job's.
CREATE OR REPLACE FUNCTION fold_step_results(first bigint, last bigint) RETURNS void LANGUAGE sql AS $$
    INSERT INTO step_results (item_id, version_id, step, generation, user_id, recipe, outcome, error_code, error_message,
                              finished_at, run_id, event_id)
    SELECT DISTINCT ON (coalesce(e.job_id, e.item_id), e.body->>'version_id', e.step, e.generation)
           coalesce(e.job_id, e.item_id), e.body->>'version_id', e.step, e.generation, e.user_id, e.recipe,
           CASE e.type WHEN 'UploadRejected' THEN 'rejected' ELSE 'done' END, e.body->>'code', e.body->>'message',
           e.occurred_at, e.run_id, e.event_id
    FROM public.told e
    WHERE e.position BETWEEN first AND last
      AND e.type IN ('MediaProbed', 'UploadRejected', 'ThumbnailCreated', 'DetectionsCompleted', 'AnalysisCompleted',
                     'EmbeddingStored', 'FramesExtracted', 'VideoSegmented', 'TextVaried')
    ORDER BY coalesce(e.job_id, e.item_id), e.body->>'version_id', e.step, e.generation, e.position
    ON CONFLICT DO NOTHING;
$$;
