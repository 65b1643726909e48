-- Every read model, in the order of what they are derived from. Append and replay both call this and nothing else.
CREATE OR REPLACE FUNCTION fold(first bigint, last bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM fold_uploads(first, last);
    PERFORM fold_step_results(first, last);
    PERFORM fold_requested_generations(first, last);
    PERFORM fold_thumbnails(first, last);
    PERFORM fold_analyses(first, last);
    PERFORM fold_embeddings(first, last);
    PERFORM fold_steps(first, last);
    PERFORM fold_items(first, last);
END $$;
