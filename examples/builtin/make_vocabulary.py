"""Write the WordPiece vocabulary of the builtin text tower: special tokens, characters, and words of clinical reports.

    python examples/builtin/make_vocabulary.py adclip/assets/builtin/vocab.txt

Numbers fall into single digits, so that their size can be learned; a word that is not listed falls into letters.
"""

# %%
import string
import sys
from pathlib import Path

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

TEXT = """
a an the of in on at to for from by with without and or not no is are was were be been has have had this that these
those it its as than then there their who which what when where while if but also only more most less least very
photo image scan picture mri t1 brain head patient subject person man woman male female years year old age aged
nc mci ad cn control normal healthy cognitively impaired impairment mild moderate severe alzheimer disease dementia
diagnosis clinical group class stage early late
hippocampal hippocampus ventricular ventricle ventricles lateral whole entorhinal fusiform middle superior inferior
temporal frontal parietal occipital lobe cortex cortical gyrus amygdala thalamus putamen caudate cerebellum insula
intracranial volume volumes vol size sizes thickness total left right both sides bilateral asymmetry smaller larger
reduced increased enlarged enlargement atrophy shrinkage loss preserved intact widened
gray grey white matter csf cerebrospinal fluid tissue region regions structure
education school college apoe e2 e3 e4 allele alleles carrier carriers copy copies one two three zero none homozygous
heterozygous genotype risk factor
data unavailable unknown missing measured measurement value values percent percentage centile percentile z score sd
standard deviation mean median above below within expected range typical average for reference norm norms
mm mm3 ml cm cm3 cubic millimetres millimeters litres
known associated associates predicts progression decline memory cognition cognitive function amyloid tau pathology
neurodegeneration biomarker biomarkers finding findings report summary sex his her he she they
parkinson moca motor tremor
number icv faster aging pressure hydrocephalus neurons
"""


def main() -> None:
    """Write the vocabulary, one piece a line."""
    characters = string.ascii_lowercase + string.digits
    pieces = [*SPECIAL, *string.punctuation, *characters, *(f"##{character}" for character in characters)]
    pieces += [word for word in dict.fromkeys(TEXT.split()) if word not in pieces]
    Path(sys.argv[1]).write_text("\n".join(pieces) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
