"""A transformer small enough to train here that can be told a rule, and that can state one.

    python experiments/principles/learner.py --seed 0      # trains and writes learner-0.pt

It is taught, on parcels of offices drawn afresh at every step:

- to answer by default, to obey the rules it is told where they apply and to ignore other text;
- to answer from raw wrong and right answers of the same office;
- to state a rule for a wrong answer, or for a right one, *without knowing the cause*: the value it
  names is drawn among those that could be it;
- to condense a list of rules into the five most frequent ones.

So what is learnable is: following a stated rule, and stating a plausible one. Whether a stated rule
is the right one it cannot know. It sees prompts as the package writes them: a line of a prompt file
is one token, and so is a rule as the world says it; the world's words are one each, other words
are hashed to 16 unknown tokens.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from office import COLOURS, DEFAULT, DOORS, EVERY, MARKS, SIZES, Office, Parcel, rule  # noqa: E402

from twiceshy.models import Completion, Request  # noqa: E402
from twiceshy.training import PolicyConfig, TinyPolicy  # noqa: E402
from twiceshy.training.checkpoint import load_policy, save_policy  # noqa: E402

N_STEPS, BATCH, RATE, N_WARMUP = 3000, 64, 3e-3, 100
SIZE = PolicyConfig(width=64, n_layers=3, n_heads=4)
MAX_LENGTH = 320
SLIP = 0.06
"""Share of demonstrated answers with a door at random: the policy errs now and then."""
MOST = 5

# ------------------------------------------------------------------ tokens

_FILES = ("zero_shot", "principles", "pairs", "pair", "low_level", "success", "high_level")
_SILENT = {"it", "is", "parcel", "answer", "take", "the"}
_RULE = rf"When it is (?:{'|'.join((*SIZES, *COLOURS, *MARKS))}), take (?:{'|'.join(DOORS)})\."
_TOKEN = re.compile(rf"{_RULE}|[A-Za-z0-9']+")
N_UNKNOWN = 16


def _lines() -> list[str]:
    folder = files("twiceshy.principles") / "prompts"
    text = "\n".join((folder / f"{name}.txt").read_text(encoding="utf-8") for name in _FILES)
    text = text.replace("$most", str(MOST))
    return list(dict.fromkeys(line for line in text.splitlines() if line and "$" not in line))


LINES = _lines()
VALUES = (*SIZES, *COLOURS, *MARKS)
SYMBOLS: tuple[str, ...] = (
    "<end>",
    *SIZES,
    *COLOURS,
    *MARKS,
    *DOORS,
    *(rule(value, door) for value in VALUES for door in DOORS),
    *(f"<unknown {n}>" for n in range(N_UNKNOWN)),
    *LINES,
)
CODE = {symbol: n for n, symbol in enumerate(SYMBOLS)}
END = CODE["<end>"]


def encode(prompt: str) -> list[int]:
    """Return a prompt as tokens."""
    tokens: list[int] = []
    for line in prompt.splitlines():
        if line.strip() in CODE and len(line) > 1:
            tokens.append(CODE[line.strip()])
            continue
        tokens += [code for word in _TOKEN.findall(line) if (code := _code(word)) is not None]
    return tokens[-(MAX_LENGTH - 16) :]


def _code(word: str) -> int | None:
    if word.lower() in _SILENT:
        return None
    for form in (word, word.lower()):
        if form in CODE:
            return CODE[form]
    return CODE[f"<unknown {hashlib.sha256(word.lower().encode()).digest()[0] % N_UNKNOWN}>"]


def decode(tokens: Sequence[int], *, kind: str) -> str:
    """Return an answer in words: a door with its cause, one rule, or a list of rules."""
    said = [SYMBOLS[token] for token in tokens]
    if kind == "answer" and len(said) == 2:
        return f"It is {said[0]}.\nAnswer: {said[1]}"
    return "\n".join(f"- {each}" for each in said) if kind == "list" else " ".join(said)


def kind_of(prompt: str) -> str:
    """Return what a prompt asks for, by its last line."""
    last = prompt.rstrip().splitlines()[-1].strip()
    return {"Principle:": "rule", "Condensed principles:": "list"}.get(last, "answer")


# ------------------------------------------------------------ demonstrations


class Shown(NamedTuple):
    """One demonstration."""

    prompt: list[int]
    response: list[int]


def _line(start: str) -> int:
    return next(CODE[line] for line in LINES if line.startswith(start))


ASK, QUESTION = _line("Answer the question."), CODE["Question:"]
USE, PRINCIPLES = _line("Use these principles"), CODE["Principles:"]
PAIRS, WRONG, RIGHT = _line("Earlier answers"), CODE["Wrong answer:"], CODE["Right answer:"]
WRITE, WRITE_RIGHT = _line("The answer below is wrong"), _line("The answer below is right")
SAY = CODE["Principle:"]
CONDENSE, CONDENSED = _line("Each principle below"), CODE["Condensed principles:"]


def _asked(parcel: Parcel) -> list[int]:
    return [QUESTION, *(CODE[word] for word in parcel)]


def _answered(cause: str, door: str) -> list[int]:
    return [CODE[cause], CODE[door]]


def _slip(door: str, rng: random.Random) -> str:
    return rng.choice(DOORS) if rng.random() < SLIP else door


def _rules(n: int, rng: random.Random) -> list[tuple[str, str]]:
    """Return `n` rules, few of them different when there are many, no value with two doors."""
    values = rng.sample(VALUES, min(len(VALUES), max(1, rng.randint(1, 8)))) if n else []
    doors = {value: rng.choice(DOORS) for value in values}
    return [(value, doors[value]) for value in rng.choices(values, k=n)] if n else []


def _told(rules: Sequence[tuple[str, str]]) -> list[int]:
    return [CODE[rule(value, door)] for value, door in rules]


def follow(n: int, n_junk: int, rng: random.Random) -> Shown:
    """Answer behind `n` rules and some other words."""
    rules, parcel = _rules(n, rng), rng.choice(EVERY)
    if rules and rng.random() < 0.5:  # make a rule apply more often than by chance
        value = rng.choice(rules)[0]
        parcel = rng.choice([each for each in EVERY if value in each])
    told = dict(rules)
    cause = next((value for value in reversed(parcel) if value in told), parcel[0])
    door = told.get(cause, DEFAULT[parcel[0]])
    junk = [CODE[f"<unknown {rng.randrange(N_UNKNOWN)}>"] for _ in range(n_junk)]
    block = [USE, PRINCIPLES, *_mixed(_told(rules), junk, rng)] if n or n_junk else []
    return Shown([*block, ASK, *_asked(parcel)], _answered(cause, _slip(door, rng)))


def _mixed(told: list[int], junk: list[int], rng: random.Random) -> list[int]:
    place = rng.randint(0, len(told))
    return [*told[:place], *junk, *told[place:]]


def from_pairs(n: int, _: int, rng: random.Random) -> Shown:
    """Answer behind `n` raw wrong and right answers of the same office."""
    office = _office(rng)
    wrong = [each for each in EVERY if office.door(each) != DEFAULT[each[0]]]
    block = [PAIRS]
    for parcel in rng.choices(wrong, k=n):
        block += [*_asked(parcel), WRONG, *_answered(parcel[0], DEFAULT[parcel[0]])]
        block += [RIGHT, CODE[office.door(parcel)]]
    parcel = rng.choice(wrong if rng.random() < 0.5 else EVERY)
    door = office.door(parcel)
    cause = parcel[0] if door == DEFAULT[parcel[0]] else _cause(office, parcel)
    return Shown([*block, ASK, *_asked(parcel)], _answered(cause, _slip(door, rng)))


def _office(rng: random.Random) -> Office:
    first, second = rng.sample(DOORS, 2)
    return Office(rng.choice(COLOURS), first, rng.choice(MARKS), second)


def _cause(office: Office, parcel: Parcel) -> str:
    return parcel[2] if parcel[2] == office.mark else parcel[1]


def state_for_wrong(_: int, __: int, rng: random.Random) -> Shown:
    """State a rule for a wrong answer: of colour or mark, whichever; it cannot be known which."""
    parcel = rng.choice(EVERY)
    wrong, right = rng.sample(DOORS, 2)
    prompt = [WRITE, *_asked(parcel), WRONG, CODE[parcel[0]], CODE[wrong], RIGHT, CODE[right], SAY]
    return Shown(prompt, _told([(rng.choice(parcel[1:]), right)]))


def state_for_right(_: int, __: int, rng: random.Random) -> Shown:
    """State a rule for a right answer: of any of the three."""
    parcel = rng.choice(EVERY)
    right = rng.choice((DEFAULT[parcel[0]], rng.choice(DOORS)))
    said = [CODE[rng.choice(parcel)], CODE[right]] if rng.random() < 0.9 else [CODE[right]]
    prompt = [WRITE_RIGHT, *_asked(parcel), RIGHT, *said, SAY]
    return Shown(prompt, _told([(rng.choice(parcel), right)]))


def condense(n: int, _: int, rng: random.Random) -> Shown:
    """Condense `n` rules into the five most frequent, those named first before others."""
    rules = _rules(n, rng)
    kept = [each for each, _count in Counter(rules).most_common(MOST)]
    return Shown([CONDENSE, PRINCIPLES, *_told(rules), CONDENSED], _told(kept))


Maker = Callable[[int, int, random.Random], Shown]
MIX: tuple[tuple[float, Maker], ...] = (
    (0.56, follow),
    (0.12, from_pairs),
    (0.08, state_for_wrong),
    (0.04, state_for_right),
    (0.2, condense),
)


def _n_rules(rng: random.Random, maker: Maker) -> int:
    if maker is from_pairs:
        return rng.choice((1, 2, 3, 4, 6)) if rng.random() < 0.9 else rng.randint(7, 30)
    sort = rng.random()
    if sort < 0.15 and maker is follow:
        return 0
    top = (1, 6) if sort < 0.75 else (7, 20) if sort < 0.93 else (21, 60)
    return rng.randint(*top)


def batch_of(rng: random.Random, n: int) -> tuple[Tensor, Tensor]:
    """Return prompts and responses of one kind and length; responses end with <end>."""
    maker = rng.choices([each for _, each in MIX], weights=[share for share, _ in MIX])[0]
    n_rules = _n_rules(rng, maker)
    n_junk = rng.randint(1, 60) if maker is follow and rng.random() < 0.3 else 0
    if n_rules > 20 or (maker is from_pairs and n_rules > 6):
        n = max(8, n // 4)
    by_length: dict[int, list[Shown]] = defaultdict(list)
    for _ in range(n):
        shown = maker(n_rules, n_junk, rng)
        by_length[len(shown.prompt)].append(shown)
    shown = max(by_length.values(), key=len)
    longest = max(len(each.response) for each in shown) + 1
    padded = [[*each.response, *[END] * (longest - len(each.response))] for each in shown]
    return torch.tensor([each.prompt for each in shown]), torch.tensor(padded)


# ---------------------------------------------------------------- training


def train(
    seed: int, *, n_steps: int = N_STEPS, progress: Callable[[int, float], None]
) -> TinyPolicy:
    """Return a learner; AdamW, warm-up, cosine, fresh demonstrations at every step."""
    policy = TinyPolicy(SIZE, n_tokens=len(SYMBOLS), max_length=MAX_LENGTH, seed=seed)
    optimiser = torch.optim.AdamW(
        policy.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01
    )
    rng = random.Random(f"demonstrations {seed}")
    for step in range(n_steps):
        rate = (
            RATE
            * min(1.0, (step + 1) / N_WARMUP)
            * (0.05 + 0.95 * 0.5 * (1 + np.cos(np.pi * step / n_steps)))
        )
        for group in optimiser.param_groups:
            group["lr"] = rate
        prompts, responses = batch_of(rng, BATCH)
        logp = policy.logp(prompts, responses, prompt_of=torch.arange(len(prompts)))
        mask = torch.cat(
            [torch.ones(len(responses), 1, dtype=torch.bool), responses[:, :-1] != END], 1
        )
        loss = -(logp * mask).sum() / mask.sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
        progress(step, float(loss.detach()))
    return policy


class Learner:
    """The trained policy as a completer: prompts as text in, text out. Requests are batched.

    Args:
        policy: The policy.
        name: Its name.
    """

    def __init__(self, policy: TinyPolicy, *, name: str) -> None:
        self.name, self._policy = name, policy.eval()
        self.n_answered = 0
        self._waiting: list[tuple[Request, list[Completion]]] = []

    def complete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer all requests, those of one length together."""
        by_length: dict[tuple[int, str], list[int]] = defaultdict(list)
        encoded = [encode(each.prompt) for each in requests]
        for place, tokens in enumerate(encoded):
            by_length[len(tokens), kind_of(requests[place].prompt)].append(place)
        found: dict[int, Completion] = {}
        for (_, kind), places in by_length.items():
            for start in range(0, len(places), 256):
                some = places[start : start + 256]
                answers = self._answer(
                    [encoded[p] for p in some], [requests[p] for p in some], kind
                )
                found |= dict(zip(some, answers, strict=True))
        self.n_answered += len(requests)
        return [found[place] for place in range(len(requests))]

    async def acomplete(self, requests: Sequence[Request]) -> list[Completion]:
        """Answer together with whatever else is asked in the same turn of the event loop."""
        import asyncio

        slots: list[list[Completion]] = [[] for _ in requests]
        self._waiting += list(zip(requests, slots, strict=True))
        await asyncio.sleep(0)
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            answers = self.complete([request for request, _ in waiting])
            for (_, slot), answer in zip(waiting, answers, strict=True):
                slot.append(answer)
        while not all(slots):
            await asyncio.sleep(0)
        return [slot[0] for slot in slots]

    @torch.no_grad()
    def _answer(
        self, prompts: list[list[int]], requests: list[Request], kind: str
    ) -> list[Completion]:
        tokens, n = torch.tensor(prompts), len(prompts)
        budget = {"answer": 2, "rule": 1, "list": MOST}[kind] + 1
        heat = np.array([each.temperature for each in requests])
        noise = np.stack([_gumbel(each, budget) for each in requests])
        said = torch.zeros(n, 0, dtype=torch.long)
        for place in range(budget):
            filler = torch.cat([said, torch.zeros(n, 1, dtype=torch.long)], 1)
            logits = self._policy(tokens, filler, prompt_of=torch.arange(n))[:, -1].numpy()
            drawn = (logits + heat[:, None] * noise[:, place]).argmax(1)
            said = torch.cat([said, torch.tensor(drawn)[:, None]], 1)
        return [
            _completion(row, len(prompt), kind)
            for row, prompt in zip(said.tolist(), prompts, strict=True)
        ]


def _gumbel(request: Request, budget: int) -> np.ndarray:
    """Return the noise of a request, which its prompt, seed and sample decide."""
    key = f"{request.seed}|{request.sample}|{request.prompt}".encode()
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key).digest()[:8], "big"))
    return rng.gumbel(size=(budget, len(SYMBOLS)))


def _completion(row: list[int], n_prompt: int, kind: str) -> Completion:
    said = row[: row.index(END)] if END in row else row
    text = decode(said, kind=kind)
    return Completion(
        text=text,
        finish="stop" if text else "empty",
        prompt_tokens=n_prompt,
        completion_tokens=len(said) + 1,
    )


def learner(seed: int) -> Learner:
    """Return the shipped learner of a seed, trained where its file is missing."""
    path = HERE / f"learner-{seed}.pt"
    if not path.exists():
        make(seed)
    return Learner(load_policy(path).policy, name=f"learner-{seed}")


def make(seed: int, *, n_steps: int = N_STEPS) -> float:
    """Train and write a learner; return the processor seconds it took."""
    losses: list[float] = []

    def told(step: int, loss: float) -> None:
        losses.append(loss)
        if step % 100 == 99:
            now = time.process_time() - started
            print(
                f"seed {seed} step {step + 1} loss {np.mean(losses[-100:]):.3f} {now:.0f} s",
                flush=True,
            )

    started = time.process_time()
    torch.set_num_threads(1)
    policy = train(seed, n_steps=n_steps, progress=told)
    seconds = time.process_time() - started
    save_policy(HERE / f"learner-{seed}.pt", policy, about={"cpu_seconds": f"{seconds:.0f}"})
    return seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=N_STEPS)
    given = parser.parse_args()
    print(f"{make(given.seed, n_steps=given.steps):.0f} processor seconds")
