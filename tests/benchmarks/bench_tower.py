"""How fast and how large: adclip's towers against the plain blocks of M3D-CLIP's original code (MONAI's), side by side.

    OMP_NUM_THREADS=2 python tests/benchmarks/bench_tower.py forward step load

Each measurement is a process of its own, so that peaks are peaks; variants take turns in each round, so that a busy
machine slows them alike. Random weights of full size stand in for M3D-CLIP's; probabilities are compared on the same
weights. Prints medians over the rounds and ratios to the reference.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

ROUNDS = 5
REPORT = (
    "A photo of {}: Hippocampal Vol: 5210.00, Ventricular size: 61230.00, Whole brain Vol: 1010456.00, "
    "Entorhinal Vol: 2890.00, Fusiform Vol: 15820.00, Middle temporal Vol: 17230.00"
)
LABELS = ("NC", "MCI", "AD")
VARIANTS = {
    "forward": ("plain", "fp32", "bf16"),
    "step": ("plain", "fp32", "bf16", "bf16+checkpointing"),
    "load": ("plain", "fp32", "bf16", "scan-only"),
}


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def anonymous_gb() -> float:
    """Memory of this process alone, without mapped files."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1e6
    return float("nan")


# ---------------------------------------------------------------------------------------------- the reference


def build_plain(*, text: bool = True):
    """Both towers as the original code has them: MONAI's ViT blocks with attention written out, BERT with eager attention."""
    import torch
    from monai.networks.nets import ViT
    from transformers import BertConfig, BertModel

    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.vision = ViT(1, (32, 256, 256), (4, 16, 16), 768, 3072, 12, 12,
                              proj_type="perceptron", pos_embed_type="learnable", classification=False)  # fmt: skip
            self.cls_token = torch.nn.Parameter(torch.zeros(1, 1, 768))
            settings = BertConfig(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
            settings._attn_implementation = "eager"
            self.text = BertModel(settings) if text else None
            self.mm_vision_proj, self.mm_language_proj = torch.nn.Linear(768, 768), torch.nn.Linear(768, 768)
            self.prompts = torch.nn.Parameter(0.02 * torch.randn(12, 20, 768))
            self.mmse_token = torch.nn.Parameter(0.02 * torch.randn(1, 1, 768))
            self.text_prompts = torch.nn.Parameter(0.02 * torch.randn(30, 768))
            self.cross = torch.nn.MultiheadAttention(768, 8, batch_first=True)

        def image(self, images, *, prompts: bool):
            x = self.vision.patch_embedding(images)
            front = [self.cls_token] + ([self.mmse_token, self.prompts[:1]] if prompts else [])
            x = torch.cat([*(token.expand(len(x), -1, -1) for token in front), x], 1)
            for index, block in enumerate(self.vision.blocks):
                if prompts and index:
                    fresh = self.prompts[index : index + 1].expand(len(x), -1, -1)
                    x = torch.cat([x[:, :2], fresh, x[:, 22:]], 1)
                x = block(x)
            x = self.vision.norm(x)
            return torch.cat([x[:, :1], x[:, 22:]], 1) if prompts else x

        def texts(self, batch):
            words = self.text.embeddings.word_embeddings(batch.ids)
            inputs = torch.cat([self.text_prompts.expand(len(words), -1, -1), words], 1)
            mask = torch.cat([torch.ones(len(words), 30, dtype=torch.long), batch.mask.long()], 1)
            return self.text(inputs_embeds=inputs, attention_mask=mask).last_hidden_state[:, 30:]

        def scores(self, images, batch):
            seen = self.mm_vision_proj(self.image(images, prompts=True))
            words = self.mm_language_proj(self.texts(batch))
            pictures = seen.expand(len(words), -1, -1)
            text = words[:, :1] + self.cross(words[:, :1], pictures, pictures)[0]
            image = pictures[:, :1] + 0.01 * self.cross(pictures[:, :1], words, words)[0]
            return torch.nn.functional.cosine_similarity(image[:, 0], text[:, 0], dim=-1)[None] / 0.07

    return Plain()


def make_base(folder: Path) -> Path:
    from originals import write_original

    return folder if (folder / "model.safetensors").is_file() else write_original(folder, full=True)


# ---------------------------------------------------------------------------------------------- one measurement


def measure(kind: str, variant: str, folder: Path, rounds: int) -> dict[str, object]:
    import torch

    from adclip.config import PromptConfig
    from adclip.model.bases import read_base, read_recorded
    from adclip.model.build import load_network
    from adclip.model.text import tokenize

    torch.manual_seed(0)
    images = torch.rand((1, 1, 32, 256, 256), generator=torch.Generator().manual_seed(1))
    low = torch.bfloat16 if variant.startswith("bf16") else torch.float32
    if kind == "load":
        start = time.perf_counter()
        if variant == "plain":
            from safetensors.torch import load_file

            plain = build_plain().eval()
            kept = load_file(folder / "model.safetensors")
            state = {name: kept.get(name.replace("text.", "language_encoder."), value)
                     for name, value in plain.state_dict().items()}  # fmt: skip
            plain.load_state_dict(state)
            del kept, state
        else:
            base = read_recorded(folder) if (folder / "base.json").is_file() else read_base(str(folder))
            network = load_network(base, PromptConfig(), dtype=low, late_text=variant == "scan-only")
            _ = network
        return {"seconds": time.perf_counter() - start, "peak_gb": peak_gb(), "own_gb": anonymous_gb()}
    base = read_base(str(folder))
    batch = tokenize([REPORT.format(label) for label in LABELS], base.tokenizer)
    if variant == "plain":
        network = build_plain(text=kind == "step").eval()
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(not name.startswith(("vision.", "text.")))
        trained = [p for p in network.parameters() if p.requires_grad]
        run = {
            "forward": lambda: network.mm_vision_proj(network.image(images, prompts=False)),
            "step": lambda: network.scores(images, batch),
        }
    else:
        # an image embedding needs no text tower, here or there
        prompts = None if kind == "forward" else PromptConfig()
        network = load_network(base, prompts, dtype=low, late_text=kind == "forward")
        if "checkpointing" in variant:
            network.checkpoint_activations()
        trained = [p for p in network.parameters() if p.requires_grad]
        run = {
            "forward": lambda: network.encode_image(images),
            "step": lambda: network.score(network.image_tokens(images), network.text_tokens(batch, 3)),
        }
    seconds = []
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    for _ in range(rounds + 1):
        start = time.perf_counter()
        if kind == "forward":
            with torch.inference_mode():
                run["forward"]()
        else:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(run["step"](), torch.tensor([2])).backward()
            optimizer.step()
        seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds[1:]), "peak_gb": peak_gb(), "own_gb": anonymous_gb()}


def agreement(folder: Path) -> dict[str, float]:
    """How far bfloat16 moves the scores, and what that can do to a probability at most.

    Random weights say nearly the same of all classes, so their probabilities would agree whatever happened. The largest
    error of a difference between two scores is measured instead: it moves a probability by at most a quarter of itself.
    """
    import torch

    from adclip.config import PromptConfig
    from adclip.model.bases import read_base
    from adclip.model.build import load_network
    from adclip.model.network import LARGEST_SCALE
    from adclip.model.prompts import is_adapter
    from adclip.model.text import tokenize

    base = read_base(str(folder))
    texts = [*(REPORT.format(label) for label in LABELS), "ventricles are large, hippocampus small", "a healthy brain"]
    batch = tokenize(texts, base.tokenizer)
    exact = load_network(base, PromptConfig())
    low = load_network(base, PromptConfig(), dtype=torch.bfloat16)
    torch.nn.init.xavier_uniform_(exact.cross_attention.out_proj.weight)
    low.load_state_dict({n: v for n, v in exact.state_dict().items() if is_adapter(n)}, strict=False)
    worst, cosines = 0.0, []
    for seed in range(4):
        images = torch.rand((1, 1, 32, 256, 256), generator=torch.Generator().manual_seed(seed))
        with torch.inference_mode():
            found = []
            for network in (exact, low):
                tokens = network.image_tokens(images)
                found.append((tokens.cls, network.score(tokens, network.text_tokens(batch, len(texts)))[0]))
        error = found[0][1] - found[1][1]
        worst = max(worst, float(error.max() - error.min()))
        cosines.append(float(torch.nn.functional.cosine_similarity(found[0][0], found[1][0])))
    scale = float(exact.scale)
    return {
        "scale": scale,
        "largest_error_of_a_score_difference": worst,
        "probability_moves_at_most": worst / 4,
        "at_the_largest_scale": worst / 4 * LARGEST_SCALE / scale,
        "lowest_cosine": min(cosines),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=["forward", "step", "load"])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/m3d-random"))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--one", nargs=2)
    options = parser.parse_args()
    make_base(options.folder)
    if options.one:
        kind, variant = options.one
        print(json.dumps(measure(kind, variant, options.folder, 1)))
        return
    for kind in options.kinds:
        if kind == "agreement":
            print(kind, json.dumps(agreement(options.folder)))
            continue
        found: dict[str, list[dict[str, float]]] = {variant: [] for variant in VARIANTS[kind]}
        for _ in range(options.rounds):
            for variant, rows in found.items():
                line = [sys.executable, __file__, "--folder", str(options.folder), "--one", kind, variant]
                done = subprocess.run(line, capture_output=True, text=True, check=True)
                rows.append(json.loads(done.stdout.splitlines()[-1]))
        middle = {v: {k: statistics.median(r[k] for r in rows) for k in rows[0]} for v, rows in found.items()}
        plain = middle["plain"]
        for variant, row in middle.items():
            print(f"{kind:8s} {variant:20s} {row['seconds']:7.2f} s  x{plain['seconds'] / row['seconds']:5.2f}   "
                  f"peak {row['peak_gb']:.2f} GB ({100 * row['peak_gb'] / plain['peak_gb']:.0f} %)  "
                  f"own {row['own_gb']:.2f} GB", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
