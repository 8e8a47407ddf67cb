"""Which class an English word means: made once, from WordNet's tree of meanings and a sentence encoder.

    python -m ldfusion_training.language.lexicon /usr/share/wordnet MINILM models/weights/text/words.txt

WordNet says which classes a word can mean, the sentence encoder whether a rarer meaning is the usual one on a street. A
word without a meaning among the classes is left out, so it has no effect.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ldfusion_models.errors import InputError
from ldfusion_training.language.wording import NOUNS, SURFACE_WORDS
from ldfusion_training.report.tables import write_text

# Below which meanings of WordNet a class lies, as NAME.NUMBER of the noun's meaning; the nearest above a word counts.
ROOTS = {
    'person': 'person.1 people.1 gathering.1 force.4 animal.1 military_unit.1 team.1',
    'car': 'car.1 motor_vehicle.1 wheeled_vehicle.1 vehicle.1 traffic.1',
    'truck': 'truck.1 bus.1 wagon.1 tractor.1 trailer.4 tracked_vehicle.1',
    'bicycle': 'bicycle.1 motorcycle.1 tricycle.1 scooter.2 scooter.3',
    'forklift': 'forklift.1',
    'lamp post': 'lamppost.1 streetlight.1 lamp.1 lantern.1 post.4 pole.1',
    'sign': 'signboard.1 street_sign.1 traffic_light.1 sign.4 signpost.1 poster.1',
    'tree': 'tree.1 woody_plant.1 vegetation.1 forest.2 foliage.1 hedge.1 plant.2',
    'bench': 'bench.1 seat.3',
    'door': 'door.1 doorway.1 movable_barrier.1 exit.1',
    'shelf': 'shelf.1 rack.1 rack.5 bookcase.1',
    'crate': 'crate.1 box.1 package.1 pallet.2 bin.1 barrel.2 basket.1',
    'guard rail': 'rail.1 fence.1 barrier.1',
    'building': 'building.1 building_complex.1 housing.1 place_of_business.1 tower.1 bridge.1',
    'pipe': 'pipe.2 tube.1 hose.3 chimney.1',
    'road': 'road.1 lane.1 crossing.5 intersection.2',
    'pavement': 'walk.5 sidewalk.1 curb.1',
    'asphalt': 'paving.1 paved_surface.1',
    'grass': 'grass.1 lawn.1 field.1',
    'floor': 'floor.1 flooring.2',
    'wall': 'wall.1 wall.7',
}
# What WordNet has no noun for.
OTHER_WORDS = {
    'person': 'alive anybody anyone breathing everybody everyone he her him hot living she them they warm who whoever',
}
# A meaning that is not a word's first counts from this similarity to the class's own words on.
SIMILAR = 0.42


# Words for people that WordNet itself explains as abuse, or by descent, faith or sex, are left out: they add nothing.
ABUSE = re.compile(
    '|'.join(
        r"""
        slur offensive disparag derogat obscen vulgar insult abus contempt despis stupid foolish idiot retard
        mental subnormal promiscu prostitut whore brothel sexual ethnic \brace\b racial offspring.of American.Indian
        small.person ingratiate subservient negro jew tribe caste descent inhabitant native language slang flatter
        coward disagreeable unpleasant filthy dirty wandering immoral lewd humiliat spastic uncivilized indulged
        ugly abnormally white.person black.person dark.skin informal.term average.height unable.to.walk
        """.split()  # noqa: SIM905
    ),
    re.IGNORECASE,
)


@dataclass(frozen=True)
class WordNet:
    """WordNet's nouns.

    Attributes:
        meanings: of each lemma, most frequent first.
        abusive: lemmas with a meaning that ``ABUSE`` marks.
        above: the more general meanings of each meaning.
        irregular: plurals that no rule makes, with their lemmas.
    """

    meanings: dict[str, list[str]]
    abusive: set[str]
    above: dict[str, list[str]]
    irregular: dict[str, str]

    def meaning(self, name: str) -> str:
        """The meaning that ``NAME.NUMBER`` names."""
        lemma, number = name.split('.')
        return self.meanings[lemma][int(number) - 1]


def read_wordnet(folder: Path) -> WordNet:
    """Read ``index.noun``, ``data.noun`` and ``noun.exc`` of WordNet 3.0.

    Raises:
        InputError: they are not there.
    """
    try:
        index, data, irregular = ((folder / name).read_text() for name in ('index.noun', 'data.noun', 'noun.exc'))
    except OSError as error:
        raise InputError(f"{folder}: no WordNet ({error}); install it, such as Debian's wordnet-base") from error
    marked = {line.split()[0] for line in data.splitlines() if ABUSE.search(line.partition('|')[2])}
    meanings, counted = {}, {}
    for lemma, _, count, *rest in (line.split() for line in index.splitlines() if not line.startswith(' ')):
        meanings[lemma] = rest[-int(count) :]
        counted[lemma] = int(rest[-int(count) - 1])
    above = {}
    for meaning, _, _, words, *rest in (
        line.split('|')[0].split() for line in data.splitlines() if not line.startswith(' ')
    ):
        pointers = rest[2 * int(words, 16) + 1 :]
        above[meaning] = [to for kind, to in zip(pointers[::4], pointers[1::4], strict=False) if kind == '@']
    abusive = {
        lemma
        for lemma, each in meanings.items()
        # A rarer meaning counts where the texts that WordNet counted have none of the word's.
        if each[0] in marked or (marked.intersection(each) and not counted[lemma])
    }
    return WordNet(meanings, abusive, above, dict(line.split()[:2] for line in irregular.splitlines()))


class SentenceEncoder:
    """A sentence encoder in transformers' format: the mean over a text's tokens, of length 1."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self._tokenize, self._model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeddings (N, D)."""
        import torch

        batches = [texts[start : start + 256] for start in range(0, len(texts), 256)]
        means = []
        with torch.inference_mode():
            for batch in batches:
                tokens = self._tokenize(list(batch), padding=True, return_tensors='pt')
                mask = tokens['attention_mask'][..., None]
                means.append((self._model(**tokens).last_hidden_state * mask).sum(1) / mask.sum(1))
        return torch.nn.functional.normalize(torch.cat(means), dim=1).numpy()


def make_lexicon(wordnet: WordNet, similarity: SentenceEncoder) -> dict[str, list[str]]:
    """For each class, the words that mean it."""
    roots = {wordnet.meaning(root): name for name, names in ROOTS.items() for root in names.split()}
    own = {name: [word for number in NOUNS[name] for word in number] for name in NOUNS}
    own |= {name: list(SURFACE_WORDS[name]) for name in ROOTS if name in SURFACE_WORDS}
    classes = {name: similarity(words) for name, words in own.items()}
    candidates = {lemma: named for lemma in wordnet.meanings if any(named := _classes_of(lemma, wordnet, roots))}
    embeddings = similarity(list(candidates))
    found = {word: name for name, words in OTHER_WORDS.items() for word in words.split()}
    for (lemma, named), embedding in zip(candidates.items(), embeddings, strict=True):
        near = {name: float((classes[name] @ embedding).max()) for name in named if name}
        best = max(near, key=lambda name: near[name])
        meant = named[0] or best
        if (named[0] or near[best] >= SIMILAR) and not (meant == 'person' and lemma in wordnet.abusive):
            found.setdefault(lemma, meant)
    found |= {word: name for name, words in own.items() for word in words if ' ' not in word}
    found |= {plural: found[lemma] for plural, lemma in wordnet.irregular.items() if lemma in found}
    return {name: sorted(word for word, meant in found.items() if meant == name) for name in ROOTS}


def _classes_of(lemma: str, wordnet: WordNet, roots: dict[str, str]) -> list[str]:
    """The class of each meaning of a word, '' for none; nothing of names and compounds."""
    if not lemma.replace('-', '').isalpha():
        return []
    return [_class_of(meaning, wordnet, roots) for meaning in wordnet.meanings[lemma]]


def _class_of(meaning: str, wordnet: WordNet, roots: dict[str, str]) -> str:
    level = [meaning]
    while level:
        for each in level:
            if each in roots:
                return roots[each]
        level = [above for each in level for above in wordnet.above[each]]
    return ''


def write_lexicon(path: Path, classes: dict[str, list[str]]) -> None:
    """A line for each class: the word that prompts name it by, and what means it."""
    lines = [
        f'{NOUNS[name][1][0] if name in NOUNS else SURFACE_WORDS[name][0]}: {" ".join(words)}'
        for name, words in classes.items()
    ]
    write_text(path, '\n'.join(lines) + '\n')


if __name__ == '__main__':
    source, model, target = map(Path, sys.argv[1:])
    write_lexicon(target, make_lexicon(read_wordnet(source), SentenceEncoder(model)))
