"""Words that voice doubt, checking and confidence, by language and by function.

The English markers extend the ten words of Kim et al. (2603.24472) by function; hedges follow the
classes of Kilicoglu and Bergler (2008) and boosters Hyland's tradition (both from notes on them).
The other languages are ours, made as counterparts. Validate a lexicon on your own traces before a
number from it decides anything: a code model may use other words, or none.
"""

from __future__ import annotations

from typing import Literal

import msgspec

MarkerFunction = Literal["self_check", "backtrack", "alternative", "doubt", "abstain"]
Category = Literal["self_check", "backtrack", "alternative", "doubt", "abstain", "hedge", "booster"]

FUNCTIONS: tuple[MarkerFunction, ...] = (
    "self_check",
    "backtrack",
    "alternative",
    "doubt",
    "abstain",
)
"""What a marker does for the reasoning. A phrase has one function."""

PUBLISHED_MARKERS = (
    "wait",
    "hmm",
    "perhaps",
    "maybe",
    "actually",
    "alternatively",
    "seems",
    "might",
    "likely",
    "check",
)
"""The ten words of Kim et al. (2603.24472)."""


class Lexicon(msgspec.Struct, frozen=True, kw_only=True):
    """Phrases of one language (or of one notation) by what they do.

    Example:
        >>> own = Lexicon(language="my traces", phrases={"backtrack": ("UNDO",)})
        >>> own.language
        'my traces'
    """

    language: str
    phrases: dict[Category, tuple[str, ...]]
    """Whole words or runs of words; case and the kind of apostrophe do not matter. A hedge or
    booster may be a marker as well; a phrase has at most one marker function. Where a longer phrase
    turns a shorter one round ("no doubt"), list the longer one too: the longest wins."""
    common: tuple[str, ...] = ()
    """Function words, by which the language is told."""


_ENGLISH = Lexicon(
    language="en",
    phrases={
        "self_check": (
            "check", "checking", "double check", "double checking", "verify", "verifying",
            "let me confirm", "sanity check", "recheck", "re check", "make sure", "let's see if",
        ),
        "backtrack": (
            "wait", "actually", "no wait", "hold on", "scratch that", "that's wrong",
            "that is wrong", "that's not right", "that is not right", "i made a mistake",
            "i made an error", "let me redo", "go back", "going back", "backtrack",
            "on second thought", "oops",
        ),
        "alternative": (
            "alternatively", "another way", "another approach", "a different approach",
            "different way", "try another", "let me try", "other option", "instead try",
        ),
        "doubt": (
            "hmm", "perhaps", "maybe", "might", "seem", "seems", "seemed", "likely", "possibly",
            "probably", "not sure", "unsure", "uncertain", "i think", "i guess", "i suspect",
            "unlikely", "doubt", "doubtful", "not certain", "i believe",
        ),
        "abstain": (
            "i don't know", "i do not know", "i can't tell", "i cannot tell", "i'm unable",
            "i am unable", "cannot be determined", "can't be determined", "cannot determine",
            "not enough information", "insufficient information", "no idea", "i cannot answer",
            "i can't answer",
        ),
        "hedge": (
            "may", "might", "could", "would", "should", "suggest", "suggests", "indicate",
            "indicates", "believe", "believes", "assume", "assumes", "assuming", "appear",
            "appears", "seem", "seems", "likely", "probable", "possible", "probably", "possibly",
            "perhaps", "maybe", "generally", "possibility", "suggestion", "i think", "i guess",
            "i suspect", "not sure", "unsure", "uncertain", "approximately", "roughly",
        ),
        "booster": (
            "obviously", "clearly", "certainly", "definitely", "undoubtedly", "of course",
            "without doubt", "without a doubt", "without any doubt", "no doubt", "beyond doubt",
            "beyond a doubt", "beyond any doubt", "doubtless", "not possible", "no possibility",
            "surely", "evidently",
        ),
    },
    common=(
        "the", "of", "and", "to", "is", "that", "it", "was", "for", "are", "with", "this", "be",
        "we", "you", "have", "not", "so", "from", "which",
    ),
)  # fmt: skip

_GERMAN = Lexicon(
    language="de",
    phrases={
        "self_check": (
            "prüfe", "prüfen", "überprüfe", "überprüfen", "nachprüfen", "nachrechnen", "probe",
            "kontrolle", "kontrollieren", "stimmt das", "ich vergewissere mich",
        ),
        "backtrack": (
            "moment", "halt", "warte", "doch nicht", "das stimmt nicht", "das ist falsch",
            "falsch gerechnet", "mein fehler", "noch einmal von vorn", "zurück zu", "tatsächlich",
        ),
        "alternative": (
            "alternativ", "andernfalls", "anderer weg", "anderer ansatz", "andere möglichkeit",
            "anders versuchen", "stattdessen",
        ),
        "doubt": (
            "hm", "hmm", "vielleicht", "möglicherweise", "eventuell", "wohl", "vermutlich",
            "wahrscheinlich", "scheint", "scheinbar", "anscheinend", "könnte", "nicht sicher",
            "unsicher", "ich glaube", "ich denke", "fraglich", "zweifel",
        ),
        "abstain": (
            "ich weiß es nicht", "weiß ich nicht", "weiß nicht",
            "lässt sich nicht sagen", "lässt sich nicht bestimmen", "keine ahnung",
            "nicht genug information", "nicht genügend informationen", "kann ich nicht beantworten",
        ),
        "hedge": (
            "könnte", "dürfte", "würde", "sollte", "vielleicht", "möglicherweise", "eventuell",
            "vermutlich", "wahrscheinlich", "scheint", "scheinbar", "anscheinend", "wohl",
            "ich glaube", "ich denke", "ungefähr", "etwa", "meist", "möglich", "nicht sicher",
        ),
        "booster": (
            "offensichtlich", "eindeutig", "sicherlich", "zweifellos", "natürlich",
            "selbstverständlich", "gewiss", "auf jeden fall", "ohne zweifel", "ohne jeden zweifel",
            "kein zweifel", "keinen zweifel", "keine zweifel", "außer zweifel", "zweifelsohne",
            "nicht möglich",
        ),
    },
    common=(
        "der", "die", "das", "und", "ist", "nicht", "ein", "eine", "zu", "mit", "auf", "den",
        "von", "sich", "wir", "auch", "dem", "für", "im", "also",
    ),
)  # fmt: skip

_FRENCH = Lexicon(
    language="fr",
    phrases={
        "self_check": (
            "vérifie", "vérifier", "vérifions", "vérification", "je vérifie", "contrôlons",
            "assurons-nous",
        ),
        "backtrack": (
            "attends", "attendons", "un instant", "en fait", "c'est faux", "ce n'est pas juste",
            "je me suis trompé", "je me suis trompée", "revenons", "reprenons", "erreur de ma part",
        ),
        "alternative": (
            "alternativement", "autre approche", "autre méthode", "autre façon",
            "autre possibilité", "essayons plutôt", "autrement",
        ),
        "doubt": (
            "hmm", "peut-être", "semble", "probablement", "possiblement", "sans doute",
            "vraisemblablement", "pas sûr", "pas sûre", "pas certain", "incertain", "je pense",
            "je crois", "doute", "pourrait",
        ),
        "abstain": (
            "je ne sais pas", "je ne peux pas dire", "impossible à déterminer",
            "pas assez d'informations", "aucune idée", "je ne peux pas répondre",
        ),
        "hedge": (
            "pourrait", "devrait", "peut-être", "semble", "paraît", "probablement",
            "possiblement", "possible", "probable", "suggère", "indique", "généralement",
            "environ", "je pense", "je crois", "sans doute", "pas sûr", "pas sûre",
        ),
        "booster": (
            "évidemment", "clairement", "certainement", "sûrement", "bien sûr",
            "indubitablement", "sans aucun doute", "sans nul doute", "aucun doute", "nul doute",
            "pas de doute", "hors de doute", "pas possible", "manifestement",
        ),
    },
    common=(
        "le", "la", "les", "des", "est", "et", "que", "qui", "dans", "une", "pour", "pas", "ce",
        "sur", "nous", "avec", "plus", "par", "au", "du",
    ),
)  # fmt: skip

_SPANISH = Lexicon(
    language="es",
    phrases={
        "self_check": (
            "verificar", "verifico", "verifiquemos", "comprobar", "compruebo", "comprobemos",
            "comprobación", "revisar", "revisemos",
        ),
        "backtrack": (
            "espera", "un momento", "en realidad", "eso está mal", "no es correcto",
            "me equivoqué", "volvamos", "de nuevo desde", "cometí un error",
        ),
        "alternative": (
            "alternativamente", "otra forma", "otra manera", "otro enfoque", "otra opción",
            "probemos", "en cambio",
        ),
        "doubt": (
            "hmm", "quizás", "quizá", "tal vez", "parece", "probablemente", "posiblemente",
            "no estoy seguro", "no estoy segura", "incierto", "creo que", "supongo", "podría",
            "duda",
        ),
        "abstain": (
            "no lo sé", "no sé", "no se puede determinar", "no hay suficiente información",
            "ni idea", "no puedo responder",
        ),
        "hedge": (
            "puede que", "podría", "debería", "quizás", "quizá", "tal vez", "parece",
            "probablemente", "posiblemente", "posible", "probable", "sugiere", "indica",
            "generalmente", "creo que", "aproximadamente", "supongo",
        ),
        "booster": (
            "obviamente", "claramente", "ciertamente", "definitivamente", "sin duda",
            "sin ninguna duda", "no hay duda", "no cabe duda", "no es posible",
            "por supuesto", "evidentemente", "seguramente",
        ),
    },
    common=(
        "el", "la", "los", "las", "que", "y", "es", "en", "un", "una", "por", "con", "para",
        "no", "se", "del", "lo", "su", "como", "al",
    ),
)  # fmt: skip

LEXICONS: dict[str, Lexicon] = {
    each.language: each for each in (_ENGLISH, _GERMAN, _FRENCH, _SPANISH)
}
"""The lexicons that ship, by ISO 639-1 code."""

OTHER_LANGUAGES: dict[str, tuple[str, ...]] = {
    "it": ("il", "la", "le", "di", "che", "è", "un", "una", "per", "non", "si", "con", "nel", "del",
           "della", "al", "i", "gli", "sono", "più"),
    "pt": ("o", "os", "as", "que", "e", "é", "em", "um", "uma", "por", "com", "para", "não", "se",
           "do", "da", "no", "na", "ao", "mais"),
    "nl": ("de", "het", "een", "van", "en", "niet", "dat", "te", "voor", "met", "zijn", "op", "er",
           "aan", "ook", "die", "dan", "wordt", "deze", "hebben"),
    "ca": ("el", "la", "els", "les", "que", "i", "és", "en", "un", "una", "per", "amb", "no", "es",
           "del", "dels", "al", "com", "són", "més"),
    "ro": ("și", "în", "nu", "este", "pe", "care", "din", "pentru", "sunt", "mai", "cu", "sau",
           "fi", "după", "prin", "acest", "că", "ale", "dacă", "cel"),
    "sv": ("och", "att", "som", "är", "det", "inte", "på", "av", "till", "ett", "har", "vi", "om",
           "kan", "med", "den", "en", "eller", "så", "i"),
    "da": ("og", "at", "er", "ikke", "på", "det", "til", "af", "som", "har", "vi", "kan", "med",
           "den", "en", "eller", "så", "fra", "av", "i"),
}  # fmt: skip
"""Function words of languages without a lexicon that share many with one that has it. A text in one
of them must not be counted with its neighbour's lexicon."""
