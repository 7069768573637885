from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twiceshy.attempts.lexicons import FUNCTIONS, LEXICONS, Lexicon
from twiceshy.attempts.markers import (
    Markers,
    added_up,
    count_markers,
    language_of,
    lexicon,
    published_count,
)
from twiceshy.errors import BadInput

EN = LEXICONS["en"]


def counts(text: str, language: str = "en") -> dict[str, int]:
    found = count_markers(text, lexicon=lexicon(language))
    return {name: n for name, n in found.counts.items() if n}


def test_whole_words_only() -> None:
    assert counts("The waiter checked a checklist in the mightier seams.") == {}
    assert counts("WAIT. Wait! wait") == {"backtrack": 3}


def test_the_longest_phrase_wins_and_is_used_up() -> None:
    assert counts("not sure") == {"doubt": 1, "hedge": 1}
    assert counts("no wait") == {"backtrack": 1}
    assert counts("double check, then check") == {"self_check": 2}
    assert counts("I don’t know") == {"abstain": 1}


def test_a_hedge_need_not_be_a_marker() -> None:
    found = count_markers("It would be 4.", lexicon=EN)
    assert found.total == 0
    assert found.is_hedged


@pytest.mark.parametrize(
    ("language", "text", "function"),
    [
        ("de", "Vielleicht sind es vier.", "doubt"),
        ("de", "Ich weiß es nicht.", "abstain"),
        ("fr", "Peut-être que c'est quatre.", "doubt"),
        ("fr", "Vérifions le calcul.", "self_check"),
        ("es", "Espera, son cuatro.", "backtrack"),
        ("es", "No se puede determinar.", "abstain"),
    ],
)
def test_each_language_by_function(language: str, text: str, function: str) -> None:
    assert counts(text, language).get(function) == 1


def test_every_phrase_of_every_lexicon_is_found() -> None:
    for language, own in LEXICONS.items():
        for category, phrases in own.phrases.items():
            for phrase in phrases:
                assert counts(phrase, language).get(category), (language, category, phrase)


def test_lexicons_have_every_function() -> None:
    assert all(set(FUNCTIONS) < set(own.phrases) for own in LEXICONS.values())


def test_density_by_hand_and_undefined() -> None:
    found = Markers({"doubt": 3}, 600)
    assert found.per_thousand("doubt") == 5.0
    assert found.per_thousand(n_tokens=1000) == 3.0
    assert found.per_thousand("abstain") is None
    assert count_markers("", lexicon=EN).per_thousand() is None


def test_published_words_both_ways() -> None:
    assert published_count("Likely? Unlikely. Maybe, waiting.") == (2, 4)
    assert published_count("") == (0, 0)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("the answer is that we have to add it and so the sum is for you", "en"),
        ("die Antwort ist nicht mit der Summe und also auch nicht mit dem Rest", "de"),
        ("la réponse est que nous avons une somme pour le reste dans les deux", "fr"),
        ("el resultado es que la suma no se hace con los restos por el valor", "es"),
        ("答案是四 因为二加二等于四 " * 10, None),
        ("7 + 5 = 12 ; 12 - 4 = 8 " * 10, None),
    ],
)
def test_language_is_told_or_not(text: str, language: str | None) -> None:
    assert language_of([text] * 3) == language


def test_bad_lexicons_say_what_is_wrong() -> None:
    with pytest.raises(BadInput, match="en, de, fr, es"):
        lexicon("zh")
    with pytest.raises(BadInput, match="one marker function"):
        lexicon(Lexicon(language="x", phrases={"doubt": ("so",), "abstain": ("so",)}))
    with pytest.raises(BadInput, match="a phrase with a word"):
        lexicon(Lexicon(language="x", phrases={"doubt": ("?",)}))


def test_an_absent_category_is_undefined() -> None:
    own = Lexicon(language="x", phrases={"backtrack": ("undo",)})
    found = count_markers("UNDO 3", lexicon=own)
    assert found.per_thousand("backtrack") == 500.0
    assert found.per_thousand("doubt") is None


@given(st.lists(st.text(max_size=60), max_size=4))
def test_counts_add_up(texts: list[str]) -> None:
    each = [count_markers(text, lexicon=EN) for text in texts]
    whole = added_up(each)
    assert whole.total == sum(m.total for m in each)
    assert whole.n_words == sum(m.n_words for m in each)
    assert count_markers("\n\n4\n\n".join(texts), lexicon=EN).total == whole.total


def test_a_long_trace_is_counted_fast() -> None:
    text = "so wait the answer might be 4 and then we check it again " * 1000
    started = time.perf_counter()
    found = count_markers(text, lexicon=EN)
    assert time.perf_counter() - started < 0.5
    assert found.total == 3000


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "There is no doubt that it is 4."),
        ("en", "It is 4 beyond a doubt; 5 is not possible."),
        ("de", "Es gibt keinen Zweifel, es sind vier."),
        ("fr", "Il n'y a pas de doute, aucun doute: c'est quatre."),
        ("fr", "On peut donc conclure que c'est quatre."),
        ("es", "No hay duda, no cabe duda: son cuatro, y se puede ver."),
    ],
)
def test_a_hedge_turned_round_is_no_hedge(language: str, text: str) -> None:
    assert not count_markers(text, lexicon=lexicon(language)).is_hedged


def test_emphasis_odd_apostrophes_and_split_accents_do_not_hide_a_word() -> None:
    assert counts("It is _perhaps_ four") == {"doubt": 1, "hedge": 1}
    for mark in "'’‘ʼ´":
        assert counts(f"I don{mark}t know") == {"abstain": 1}
    split = unicodedata.normalize("NFD", "Möglicherweise sind es vier.")
    assert counts(split, "de") == {"doubt": 1, "hedge": 1}


def test_words_without_spaces_are_found_by_a_lexicon_of_ones_own() -> None:
    own = Lexicon(language="zh", phrases={"doubt": ("也许",)})
    found = count_markers("答案也许是4。", lexicon=own)
    assert (found.counts["doubt"], found.n_words) == (1, 6)


@pytest.mark.parametrize(
    "text",
    [
        "La risposta è quattro perché la somma di due e due non può essere altro, come si vede",
        "A resposta é quatro porque a soma de dois com dois não pode ser outra coisa no mundo",
        "Het antwoord is vier omdat de som van twee en twee niet anders kan zijn, zoals we zien",
        "La resposta és quatre perquè la suma de dos i dos no pot ser cap altra cosa, com es veu",
        "Răspunsul este patru pentru că suma dintre doi și doi nu poate fi altceva, cum se vede",
        "Svaret er fire, fordi summen af to og to ikke kan være andet, som vi ser det i dag",
    ],
)
def test_a_neighbouring_language_is_not_taken_for_one_with_a_lexicon(text: str) -> None:
    assert language_of([text] * 3) is None
