"""The text tower: a BERT from transformers, with prompts between [CLS] and the words, and its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from adclip.errors import InputError
from adclip.model import errors
from adclip.model.prompts import unallocated
from adclip.model.settings import LAST_TEXT_TOKEN, ModelConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer

NEEDED_PIECES = ("[CLS]", "[SEP]", "[UNK]")  # begin, end, and whatever no piece fits


@dataclass(frozen=True)
class TokenBatch:
    """Tokenised texts.

    Parameters
    ----------
    ids : Tensor (T, L), int64
        [CLS], words, [SEP], padding.
    mask : Tensor (T, L), bool
        False on padding.
    word_mask : Tensor (T, L), bool
        True on [CLS] and words: what the cross-attention may look at.
    """

    ids: Tensor
    mask: Tensor
    word_mask: Tensor

    def to(self, device: torch.device) -> TokenBatch:
        """Return a copy on `device`."""
        return TokenBatch(self.ids.to(device), self.mask.to(device), self.word_mask.to(device))


@lru_cache(maxsize=4)
def read_tokenizer(vocabulary: Path) -> Tokenizer:
    """Build the uncased WordPiece tokenizer of BERT from a `vocab.txt` (one piece a line).

    Raises
    ------
    CheckpointError
        If it is no UTF-8 text, or lacks a piece that every text needs.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.processors import BertProcessing

    try:
        pieces = vocabulary.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise errors.bad_vocabulary(vocabulary, "not UTF-8 text") from error
    vocab = {piece: index for index, piece in enumerate(pieces) if piece}
    if lacking := [piece for piece in NEEDED_PIECES if piece not in vocab]:
        raise errors.bad_vocabulary(vocabulary, f"lacks {', '.join(lacking)}, so it is no vocabulary of a BERT")
    tokenizer = Tokenizer(WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))  # noqa: S106  no password
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    return tokenizer


def tokenize(texts: Sequence[str], tokenizer: Tokenizer, limit: int = LAST_TEXT_TOKEN) -> TokenBatch:
    """Tokenise texts and pad them to the longest.

    Raises
    ------
    InputError
        If a text has more than `limit` tokens; nothing is cut silently.
    """
    encoded = [tokenizer.encode(text).ids for text in texts]
    longest = max(len(ids) for ids in encoded)
    if longest > limit:
        raise InputError(
            f"a report has {longest} tokens, the text tower takes {limit}",
            "use a shorter --style, or fewer --text-prompts",
        )
    ids = torch.zeros((len(encoded), longest), dtype=torch.long)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    word_mask = torch.zeros_like(mask)
    for row, pieces in enumerate(encoded):
        ids[row, : len(pieces)] = torch.tensor(pieces)
        mask[row, : len(pieces)] = True
        word_mask[row, : len(pieces) - 1] = True  # all but the closing [SEP]
    return TokenBatch(ids, mask, word_mask)


def build_bert(config: ModelConfig, *, empty: bool = False) -> Any:
    """Allocate a BertModel of the config's size, in float32 and without any download; `empty` leaves out its weights."""
    from transformers import BertConfig, BertModel

    settings = BertConfig(
        vocab_size=config.vocabulary,
        hidden_size=config.text_width,
        num_hidden_layers=config.text_depth,
        num_attention_heads=config.text_heads,
        intermediate_size=config.text_mlp_width,
        max_position_embeddings=config.text_positions,
        layer_norm_eps=1e-12,
        hidden_dropout_prob=0.0,  # frozen towers are not regularised
        attention_probs_dropout_prob=0.0,
    )
    with unallocated(empty):
        bert = BertModel(settings)
    if empty:  # the two buffers are in no file
        embeddings = bert.embeddings
        embeddings.position_ids = torch.arange(config.text_positions)[None]
        embeddings.token_type_ids = torch.zeros_like(embeddings.position_ids)
    return bert.eval()


def encode_words(
    bert: nn.Module,
    batch: TokenBatch,
    prompts: Tensor | None,
    *,
    mask_prompts: bool = False,
    prompts_first: bool = False,
) -> Tensor:
    """Run the text tower.

    Parameters
    ----------
    bert : BertModel
        The frozen tower.
    batch : TokenBatch
        Texts.
    prompts : Tensor (n, width) or None
        Learnable tokens in BERT's input embeddings. Order [CLS], prompts, words; position 0 for [CLS] and prompts, 1, 2,
        ... for the words, so that words keep the positions they were taught on.
    mask_prompts : bool
        Hide the prompts from attention; the result then equals that without prompts.
    prompts_first : bool
        The published order instead: prompts, [CLS], words, at positions 0, 1, 2, ...

    Returns
    -------
    Tensor (T, L, width)
        States of [CLS] and the words; the prompts' own states are dropped.
    """
    if prompts is None or prompts.shape[0] == 0:
        plain: Tensor = bert(input_ids=batch.ids, attention_mask=batch.mask.long()).last_hidden_state
        return plain.float()
    texts, length = batch.ids.shape
    count = prompts.shape[0]
    word_embeddings = bert.embeddings.word_embeddings(batch.ids)  # type: ignore[union-attr, operator]  # untyped submodules
    first = 0 if prompts_first else 1  # how many tokens stand before the prompts
    learned = prompts.expand(texts, -1, -1).to(word_embeddings.dtype)
    inputs = torch.cat([word_embeddings[:, :first], learned, word_embeddings[:, first:]], dim=1)
    if prompts_first:
        positions = torch.arange(count + length)
    else:
        positions = torch.cat([torch.zeros(1 + count, dtype=torch.long), torch.arange(1, length)])
    shown = torch.full((texts, count), not mask_prompts, device=batch.ids.device)
    mask = torch.cat([batch.mask[:, :first], shown, batch.mask[:, first:]], dim=1)
    states = bert(
        inputs_embeds=inputs,
        position_ids=positions.to(batch.ids.device).expand(texts, -1),
        attention_mask=mask.long(),
    ).last_hidden_state.float()
    return torch.cat([states[:, :first], states[:, first + count :]], dim=1)
