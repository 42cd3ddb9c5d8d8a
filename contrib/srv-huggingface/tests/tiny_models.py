"""Tiny models of transformers with random weights, saved into folders as a trainer saves them."""

from __future__ import annotations

import random
import string

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers.trainers import BpeTrainer

WORDS = [
    "the", "a", "cat", "dog", "sat", "on", "mat", "in", "house", "red", "green", "big", "small", "likes", "hates", "fish",
    "bone", "runs", "sleeps", "under", "tree", "river", "Anna", "lives", "Berlin", "works", "for", "Siemens", "good", "bad",
    "day", "night", "film", "was", "very", "dull", "great", "city", "who", "where", "what", "is",
]  # fmt: skip
LETTERS = list(string.ascii_letters + string.digits + string.punctuation)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def sentences(count, seed=0, *, longest=12):
    """Random sentences of known words, some of unknown ones, of different lengths."""
    rng = random.Random(seed)
    known = [*WORDS, "Überraschung", "x1", "don't", "日本"]
    return [" ".join(rng.choices(known, k=rng.randint(1, longest))) for _ in range(count)]


def wordpiece(folder, *, most=64, **options):
    """Save a tokenizer as BERT has it."""
    vocabulary = [*SPECIAL, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    tokenizer = Tokenizer(
        models.WordPiece({word: place for place, word in enumerate(dict.fromkeys(vocabulary))}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    ends = [("[CLS]", 2), ("[SEP]", 3)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=most, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]",
        sep_token="[SEP]", mask_token="[MASK]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **options,
    )  # fmt: skip
    fast.save_pretrained(folder)
    return fast


def byte_level(folder, *, chat=False, pad=False):
    """Save a tokenizer as GPT-2 has it: bytes that were merged, so that letters may be split."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=320,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(200), trainer)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>", bos_token="<end>")
    if pad:
        fast.pad_token = "<end>"
    if chat:
        fast.chat_template = (
            "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}<assistant>{% endif %}"
        )
    fast.save_pretrained(folder)
    return fast


def bert(folder, head="ForSequenceClassification", *, seed=0, most=64, size=32, labels=None, **options):
    """Save a BERT with that head, and its tokenizer."""
    tokenizer = wordpiece(folder, most=most)
    torch.manual_seed(seed)
    given = (
        {"id2label": dict(enumerate(labels)), "label2id": {name: place for place, name in enumerate(labels)}}
        if labels
        else {}
    )
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=size, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=2 * size, max_position_embeddings=most, initializer_range=0.6, **given, **options,
    )  # fmt: skip
    getattr(transformers, f"Bert{head}")(config).eval().save_pretrained(folder)
    return folder


def gpt2(folder, *, seed=0, places=128, chat=False, pad=False, head="LMHeadModel", **options):
    """Save a GPT-2, and its tokenizer."""
    tokenizer = byte_level(folder, chat=chat, pad=pad)
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=places, n_embd=32, n_layer=2, n_head=2, initializer_range=0.4,
        bos_token_id=0, eos_token_id=0, **options,
    )  # fmt: skip
    getattr(transformers, f"GPT2{head}")(config).eval().save_pretrained(folder)
    return folder


def t5(folder, *, seed=0):
    """Save a T5, and a tokenizer."""
    tokenizer = wordpiece(folder)
    torch.manual_seed(seed)
    config = transformers.T5Config(
        vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, decoder_start_token_id=0,
        pad_token_id=0, eos_token_id=3, initializer_factor=1.0,
    )  # fmt: skip
    transformers.T5ForConditionalGeneration(config).eval().save_pretrained(folder)
    return folder


def vit(folder, *, seed=0):
    """Save a ViT for images of 32 by 32, and its processor."""
    torch.manual_seed(seed)
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=32, patch_size=8,
        id2label={0: "cat", 1: "dog", 2: "tree"}, label2id={"cat": 0, "dog": 1, "tree": 2}, initializer_range=0.4,
    )  # fmt: skip
    transformers.ViTForImageClassification(config).eval().save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


def wav2vec2(folder, *, seed=0):
    """Save a Wav2Vec2 with its letters and its feature extractor."""
    import json

    folder.mkdir(parents=True, exist_ok=True)
    letters = {
        letter: place for place, letter in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_uppercase])
    }
    (folder / "vocab.json").write_text(json.dumps(letters))
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(letters), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        conv_dim=(16, 16, 16), conv_kernel=(10, 3, 3), conv_stride=(5, 4, 4), num_feat_extract_layers=3,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2, initializer_range=0.5,
    )  # fmt: skip
    transformers.Wav2Vec2ForCTC(config).eval().save_pretrained(folder)
    return folder


def whisper(folder, *, seed=0):
    """Save a Whisper, and its tokenizer and feature extractor."""
    tokenizer = byte_level(folder, pad=True)
    transformers.WhisperFeatureExtractor(feature_size=8).save_pretrained(folder)
    torch.manual_seed(seed)
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer), num_mel_bins=8, d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64, max_target_positions=40, init_std=0.4,
        bos_token_id=0, eos_token_id=0, pad_token_id=0, decoder_start_token_id=1, suppress_tokens=None,
        begin_suppress_tokens=None,
    )  # fmt: skip
    transformers.WhisperForConditionalGeneration(config).eval().save_pretrained(folder)
    return folder
