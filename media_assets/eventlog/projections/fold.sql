-- Every read model, in the order of what they are derived from. Append and replay both call this and nothing else.
--
-- A fold is called if there is an event for it: a call that finds nothing costs as much as a small append.
--
-- Always by key, with plans made once: in a bulk import, and in a replay's fresh tables, the statistics lag behind, and a
-- plan that scanned a table when it was small would make every append slower than the one before.
CREATE OR REPLACE FUNCTION fold(first bigint, last bigint) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    types   text[];
    touched uuid[];
BEGIN
    SELECT array_agg(DISTINCT e.type), array_agg(DISTINCT coalesce(e.job_id, e.item_id)) FILTER (WHERE e.item_id IS NOT NULL)
    INTO types, touched FROM public.events e WHERE e.position BETWEEN first AND last;

    IF 'UploadReceived' = ANY (types) THEN PERFORM fold_arrivals(first, last); END IF;
    IF 'FrameReceived' = ANY (types) THEN PERFORM fold_frames_received(first, last); END IF;
    IF 'MediaProbed' = ANY (types) THEN PERFORM fold_measurements(first, last); END IF;
    IF 'UploadRemoved' = ANY (types) THEN PERFORM fold_removals(first, last); END IF;
    IF types && ARRAY['MediaProbed', 'UploadRejected', 'ThumbnailCreated', 'DetectionsCompleted', 'AnalysisCompleted',
                      'EmbeddingStored', 'FramesExtracted', 'VideoSegmented', 'TextVaried'] THEN
        PERFORM fold_step_results(first, last);
    END IF;
    IF types && ARRAY['StepFailed', 'StepAbandoned'] THEN PERFORM fold_step_failures(first, last); END IF;
    IF 'ReprocessRequested' = ANY (types) THEN PERFORM fold_requested_generations(first, last); END IF;
    IF 'ThumbnailCreated' = ANY (types) THEN PERFORM fold_thumbnails(first, last); END IF;
    IF 'DetectionsCompleted' = ANY (types) THEN PERFORM fold_detections(first, last); END IF;
    IF 'AnalysisCompleted' = ANY (types) THEN PERFORM fold_analyses(first, last); END IF;
    IF 'EmbeddingStored' = ANY (types) THEN PERFORM fold_embeddings(first, last); END IF;
    IF 'VideoSegmented' = ANY (types) THEN PERFORM fold_segments(first, last); END IF;
    IF types && ARRAY['JobSubmitted', 'JobStarted', 'JobProgressed', 'TextVaried', 'JobCompleted', 'JobFailed',
                      'JobCancelled'] THEN
        PERFORM fold_jobs(first, last);
    END IF;
    IF types && ARRAY['SpendingStopped', 'SpendingResumed'] THEN PERFORM fold_spending_stops(first, last); END IF;
    -- What becomes of a video concerns its frames and jobs: looked up while erased ones are still there.
    IF types && ARRAY['UploadReceived', 'UploadRemoved', 'FramesExtracted', 'ItemErased'] THEN
        touched := ARRAY(
            SELECT unnest(touched)
            UNION SELECT u.item_id FROM uploads u WHERE u.parent_item_id = ANY (touched)
            UNION SELECT j.job_id FROM jobs j WHERE j.item_id = ANY (touched)
        );
    END IF;
    IF 'ItemErased' = ANY (types) THEN PERFORM fold_erased_items(first, last); END IF;
    IF types <> ARRAY['UploadReceived'] THEN PERFORM fold_costs(first, last); END IF;
    IF touched IS NOT NULL THEN
        PERFORM fold_steps(touched);
        PERFORM fold_items(touched);
    END IF;
END $$;
