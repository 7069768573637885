"""The fused head against autograd through the naive log-softmax, on random shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from twiceshy.errors import BadInput
from twiceshy.objectives.fused_head import (
    CoefficientsOf,
    HeadPass,
    HeadRows,
    fused_head,
    fused_head_loss,
    selected_logp,
)
from twiceshy.objectives.terms import Terms, cispo_terms, ppo_clip_terms, reinforce_terms

TERMS = (reinforce_terms, ppo_clip_terms, cispo_terms)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Problem(NamedTuple):
    """A head, its targets and what a token-level objective needs besides log-probs."""

    hidden: Tensor
    weight: Tensor
    bias: Tensor
    targets: Tensor
    old_logp: Tensor
    advantages: Tensor


def a_problem(seed: int, *, m: int = 7, d: int = 5, v: int = 11, dtype: Any = None) -> Problem:
    source = torch.Generator().manual_seed(seed)
    dtype = dtype or torch.float64

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    hidden, weight, bias = (x.to(dtype) for x in (normal(m, d), normal(v, d), normal(v)))
    targets = torch.randint(v, (m,), generator=source)
    now = naive_logp(hidden.double(), weight.double(), None, targets, 1.0)
    advantages = torch.randint(-1, 2, (m,), generator=source).double()
    return Problem(hidden, weight, bias, targets, now + 0.4 * normal(m), advantages)


def naive_logp(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, temperature: float
) -> Tensor:
    logits = hidden @ weight.t() if bias is None else hidden @ weight.t() + bias
    return torch.log_softmax(logits / temperature, dim=-1).gather(1, targets[:, None])[:, 0]


class Naive(NamedTuple):
    logp: Tensor
    entropy: Tensor
    hidden: Tensor
    weight: Tensor
    bias: Tensor


def naive(
    problem: Problem,
    terms_of: Any,
    *,
    keep: Tensor | None = None,
    temperature: float = 1.0,
    with_bias: bool = True,
) -> Naive:
    """Gradients of the mean token loss over kept rows, by autograd in float64."""
    leaves = [x.double().clone().requires_grad_() for x in problem[:3]]
    bias = leaves[2] if with_bias else None
    logp = naive_logp(leaves[0], leaves[1], bias, problem.targets, temperature)
    terms: Terms = terms_of(logp, old_logp=problem.old_logp, advantages=problem.advantages)
    chosen = terms.loss if keep is None else terms.loss[keep]
    (chosen.sum() / len(logp) + 0 * leaves[2].sum()).backward()
    logits = leaves[0] @ leaves[1].t() + (0 if bias is None else bias)
    entropy = torch.distributions.Categorical(logits=logits / temperature).entropy()
    gradients = [x.grad for x in leaves]
    assert all(gradient is not None for gradient in gradients)
    return Naive(logp.detach(), entropy.detach(), *gradients)  # pyrefly: ignore[bad-argument-type]


def coefficients(problem: Problem, terms_of: Any) -> CoefficientsOf:
    def of(seen: HeadRows) -> Tensor:
        terms: Terms = terms_of(
            seen.logp,
            old_logp=problem.old_logp[seen.rows],
            advantages=problem.advantages[seen.rows],
        )
        return terms.slope / len(problem.targets)

    return of


def assert_same(ours: Tensor | None, theirs: Tensor, *, relative: float) -> None:
    """Equal to a share of the largest entry, or of 0.1 where all entries cancel to less.

    1 − p of a token that is nearly certain keeps only the rounding error of p, naive or not.
    """
    assert ours is not None
    assert ours.shape == theirs.shape
    largest = float(theirs.abs().max()) if theirs.numel() else 0.0
    torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=relative * max(largest, 0.1))


def assert_same_gradients(ours: HeadPass, theirs: Naive, *, relative: float) -> None:
    assert_same(ours.grad_hidden, theirs.hidden, relative=relative)
    assert_same(ours.grad_weight, theirs.weight, relative=relative)


shapes = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**31),
        "m": st.integers(1, 12),
        "d": st.integers(1, 9),
        "v": st.integers(2, 40),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    shape=shapes,
    terms_of=st.sampled_from(TERMS),
    temperature=st.sampled_from([0.3, 1.0, 2.5]),
    with_bias=st.booleans(),
    tile_rows=st.integers(1, 13) | st.none(),
    sequence_level=st.booleans(),
    data=st.data(),
)
def test_equals_autograd_through_the_naive_head(
    shape: dict[str, int],
    terms_of: Any,
    temperature: float,
    with_bias: bool,
    tile_rows: int | None,
    sequence_level: bool,
    data: st.DataObject,
) -> None:
    problem = a_problem(**shape)
    m = shape["m"]
    keep = torch.tensor(data.draw(st.lists(st.booleans(), min_size=m, max_size=m)))
    theirs = naive(problem, terms_of, keep=keep, temperature=temperature, with_bias=with_bias)
    ours = fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=coefficients(problem, terms_of),
        bias=problem.bias if with_bias else None,
        keep=keep,
        temperature=temperature,
        entropy=True,
        sequence_level=sequence_level,
        tile_rows=tile_rows,
    )
    assert ours.entropy is not None
    assert_same(ours.logp[keep], theirs.logp[keep], relative=1e-11)
    assert_same(ours.entropy[keep], theirs.entropy[keep], relative=1e-11)
    assert_same_gradients(ours, theirs, relative=1e-11)
    if with_bias:
        assert_same(ours.grad_bias, theirs.bias, relative=1e-11)
    assert bool(ours.logp[~keep].isnan().all())
    assert bool(ours.entropy[~keep].isnan().all())
    assert bool((ours.coefficients[~keep] == 0).all())
    assert ours.n_kept == int(keep.sum())


@settings(max_examples=40, deadline=None)
@given(shape=shapes, terms_of=st.sampled_from(TERMS), tile_rows=st.integers(1, 13))
def test_float32_stays_within_1e_5_of_float64(
    shape: dict[str, int], terms_of: Any, tile_rows: int
) -> None:
    single = a_problem(**shape, dtype=torch.float32)
    # A token at the very bound of the clip may fall on either side of it: keep clear of that.
    gap = (naive(single, terms_of, with_bias=False).logp - single.old_logp).exp()
    near = ((gap - 0.8).abs() < 1e-3) | ((gap - 1.2).abs() < 1e-3) | ((gap - 3).abs() < 1e-3)
    theirs = naive(single, terms_of, keep=~near, with_bias=False)
    ours = fused_head(
        single.hidden,
        single.weight,
        targets=single.targets,
        coefficients_of=coefficients(single, terms_of),
        keep=~near,
        tile_rows=tile_rows,
    )
    assert ours.logp.dtype == torch.float32
    assert_same(ours.logp[~near], theirs.logp[~near], relative=1e-5)
    assert_same_gradients(ours, theirs, relative=1e-5)


def test_a_head_worked_by_hand() -> None:
    # Logits (0, ln 3): probabilities 1/4 and 3/4. Entropy = 2 ln 2 − 3/4 · ln 3.
    hidden, weight = torch.ones(1, 1), torch.tensor([[0.0], [3.0]]).log1p() * 0
    weight[1, 0] = float(torch.tensor(3.0).log())
    done = fused_head(
        hidden,
        weight,
        targets=torch.tensor([0]),
        coefficients_of=lambda rows: torch.full_like(rows.logp, 2.0),
        entropy=True,
    )
    assert done.grad_weight is not None
    assert done.grad_hidden is not None
    assert done.entropy is not None
    assert done.logp.exp().item() == pytest.approx(0.25)
    assert done.entropy.item() == pytest.approx(0.5623351)
    assert done.grad_weight[:, 0].tolist() == pytest.approx([1.5, -1.5])
    assert done.grad_hidden.item() == pytest.approx(-1.5 * 1.0986123)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_16_bits_are_computed_and_summed_in_float32(dtype: torch.dtype) -> None:
    problem = a_problem(1, m=64, d=16, v=50, dtype=dtype)
    theirs = naive(problem, reinforce_terms, with_bias=False)
    ours = fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=coefficients(problem, reinforce_terms),
        tile_rows=3,
    )
    assert ours.grad_weight is not None
    assert ours.grad_weight.dtype == torch.float32
    assert_same(ours.logp, theirs.logp, relative=1e-5)
    assert_same_gradients(ours, theirs, relative=1e-5)


def test_autocast_changes_nothing() -> None:
    problem = a_problem(2, dtype=torch.float32)

    def run() -> HeadPass:
        return fused_head(
            problem.hidden,
            problem.weight,
            targets=problem.targets,
            coefficients_of=coefficients(problem, reinforce_terms),
        )

    outside = run()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = run()
    assert torch.equal(inside.logp, outside.logp)
    for got, want in zip(inside[3:5], outside[3:5], strict=True):
        assert torch.equal(got, want)  # pyrefly: ignore[bad-argument-type]


def test_huge_and_tiny_probabilities_stay_exact() -> None:
    hidden = torch.tensor([[300.0], [300.0]])
    weight = torch.tensor([[1.0], [-1.0], [0.0]])
    done = fused_head(
        hidden,
        weight,
        targets=torch.tensor([0, 1]),
        coefficients_of=lambda rows: torch.ones_like(rows.logp),
        entropy=True,
    )
    assert done.logp.tolist() == [0.0, -600.0]
    assert done.entropy is not None
    assert done.entropy.tolist() == [0.0, 0.0]
    assert done.grad_hidden is not None
    assert done.grad_hidden[:, 0].tolist() == [0.0, -2.0]


# --- savings -----------------------------------------------------------------------------------


class Products(TorchDispatchMode):
    """Counts multiply-adds of matrix products, and the largest tensor any operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.multiply_adds = 0
        self.largest = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        done = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.rstrip("_")
        if name in {"mm", "addmm"}:
            left, right = args[-2:]
            self.multiply_adds += left.shape[0] * left.shape[1] * right.shape[1]
        if isinstance(done, Tensor):
            self.largest = max(self.largest, done.untyped_storage().nbytes() // done.itemsize)
        return done


def work(problem: Problem, coefficients_of: CoefficientsOf, **options: Any) -> tuple[int, int]:
    with Products() as products:
        fused_head(
            problem.hidden,
            problem.weight,
            targets=problem.targets,
            coefficients_of=coefficients_of,
            **options,
        )
    return products.multiply_adds, products.largest


M, D, V = 48, 3, 500


def test_three_products_and_no_more() -> None:
    problem = a_problem(3, m=M, d=D, v=V)
    one = M * D * V
    ones: CoefficientsOf = lambda rows: torch.ones_like(rows.logp)  # noqa: E731
    assert work(problem, ones, tile_rows=5)[0] == 3 * one
    assert work(problem, ones, tile_rows=5, sequence_level=True)[0] == 4 * one
    assert work(problem, ones, tile_rows=5, train_head=False)[0] == 2 * one
    assert work(problem, ones, tile_rows=5, train_hidden=False)[0] == 2 * one
    half = torch.arange(M) % 2 == 0
    assert work(problem, ones, tile_rows=5, keep=half)[0] == 3 * one // 2
    third: CoefficientsOf = lambda rows: (rows.rows % 3 == 0).double()  # noqa: E731
    assert work(problem, third, tile_rows=5)[0] == one + 2 * one // 3
    assert work(problem, third, tile_rows=5, sequence_level=True)[0] == one + one
    assert work(problem, ones, keep=torch.zeros(M, dtype=torch.bool))[0] == 0


@pytest.mark.parametrize("tile_rows", [1, 4, 7])
def test_nothing_larger_than_a_tile_is_made(tile_rows: int) -> None:
    problem = a_problem(4, m=M, d=D, v=V)
    third: CoefficientsOf = lambda rows: (rows.rows % 3 == 0).double()  # noqa: E731
    for sequence_level, entropy in ((False, False), (True, False), (False, True)):
        options = {"sequence_level": sequence_level, "entropy": entropy}
        largest = work(problem, third, tile_rows=tile_rows, **options)[1]
        assert largest == max(tile_rows * V, D * V)
    plain = Products()
    with plain:
        naive_logp(problem.hidden, problem.weight, None, problem.targets, 1.0)
    assert plain.largest == M * V  # the check sees what the naive head makes


def test_tiles_fit_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twiceshy.objectives.head_checks.TILE_BYTES", 20 * V * 8)
    problem = a_problem(5, m=M, d=D, v=V)
    done = fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=lambda rows: torch.ones_like(rows.logp),
    )
    assert done.tile_rows == 16  # at most 20, and three equal tiles


@pytest.mark.parametrize("block_bytes", [1, 3 * 8 * V, 10**9])
def test_the_size_of_tiles_and_blocks_changes_nothing(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = a_problem(6, m=M, d=D, v=V)
    theirs = naive(problem, ppo_clip_terms, with_bias=False)
    monkeypatch.setattr("twiceshy.objectives.head_tiles.BLOCK_BYTES", block_bytes)
    for tile_rows in (1, 5, M, 10 * M):
        ours = fused_head(
            problem.hidden,
            problem.weight,
            targets=problem.targets,
            coefficients_of=coefficients(problem, ppo_clip_terms),
            entropy=True,
            tile_rows=tile_rows,
        )
        assert_same(ours.logp, theirs.logp, relative=1e-12)
        assert_same(ours.entropy, theirs.entropy, relative=1e-12)
        assert_same_gradients(ours, theirs, relative=1e-12)


def test_rows_with_coefficient_0_do_not_train() -> None:
    problem = a_problem(7, m=M, d=D, v=V)
    theirs = naive(problem, ppo_clip_terms, with_bias=False)
    ours = fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=coefficients(problem, ppo_clip_terms),
        tile_rows=9,
    )
    assert ours.n_trained == int((ours.coefficients != 0).sum())
    assert 0 < ours.n_trained < ours.n_kept == M
    assert_same_gradients(ours, theirs, relative=1e-12)


def test_a_frozen_head_gets_no_gradient() -> None:
    problem = a_problem(8)
    theirs = naive(problem, reinforce_terms)
    ours = fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=coefficients(problem, reinforce_terms),
        bias=problem.bias,
        train_head=False,
    )
    assert ours.grad_weight is None
    assert ours.grad_bias is None
    assert_same(ours.grad_hidden, theirs.hidden, relative=1e-12)


def test_dropped_rows_may_hold_anything() -> None:
    problem = a_problem(9)
    keep = torch.arange(7) != 3
    theirs = naive(problem, reinforce_terms, keep=keep, with_bias=False)
    hidden, targets = problem.hidden.clone(), problem.targets.clone()
    hidden[3], targets[3] = torch.nan, -100
    ours = fused_head(
        hidden,
        problem.weight,
        targets=targets,
        coefficients_of=coefficients(problem, reinforce_terms),
        keep=keep,
    )
    assert_same_gradients(ours, theirs, relative=1e-12)


# --- passes ------------------------------------------------------------------------------------


def test_an_objective_over_sequences_takes_two_passes() -> None:
    problem = a_problem(10, m=12)
    keep = torch.ones(12, dtype=torch.bool)
    keep[5] = False
    sequence = torch.arange(12) // 4
    calls = []

    def of(seen: HeadRows) -> Tensor:
        calls.append(seen.rows.tolist())
        logp = seen.logp.detach().requires_grad_()
        with torch.enable_grad():
            value = sequence_loss(logp, sequence[seen.rows])
        return torch.autograd.grad(value, logp)[0]

    ours = fused_head(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=of,
        keep=keep,
        sequence_level=True,
        tile_rows=5,
    )
    assert calls == [keep.nonzero()[:, 0].tolist()]
    hidden, weight = problem.hidden.requires_grad_(), problem.weight.requires_grad_()
    logp = naive_logp(hidden, weight, None, problem.targets, 1.0)
    sequence_loss(logp[keep], sequence[keep]).backward()
    assert hidden.grad is not None
    assert weight.grad is not None
    assert_same(ours.grad_hidden, hidden.grad, relative=1e-12)
    assert_same(ours.grad_weight, weight.grad, relative=1e-12)


def sequence_loss(logp: Tensor, sequence: Tensor) -> Tensor:
    """A loss in the product of each sequence's probabilities."""
    return torch.zeros(3, dtype=logp.dtype).index_add(0, sequence, logp).exp().pow(0.1).sum()


# --- in a training loop ------------------------------------------------------------------------


def leaves_of(problem: Problem) -> list[Tensor]:
    return [x.clone().requires_grad_() for x in problem[:3]]


@pytest.mark.parametrize("terms_of", TERMS)
def test_one_pass_inside_autograd(terms_of: Any) -> None:
    problem = a_problem(11)
    theirs = naive(problem, terms_of)
    hidden, weight, bias = leaves_of(problem)
    loss = fused_head_loss(
        hidden * 1,
        weight * 1,
        targets=problem.targets,
        coefficients_of=coefficients(problem, terms_of),
        bias=bias,
        entropy=True,
    )
    (3 * loss.surrogate).backward()
    for leaf, want in zip((hidden, weight, bias), theirs[2:], strict=True):
        assert_same(leaf.grad, 3 * want, relative=1e-12)
    assert not loss.logp.requires_grad
    assert_same(loss.entropy, theirs.entropy, relative=1e-12)
    assert loss.surrogate.item() == pytest.approx(float((loss.coefficients * theirs.logp).sum()))


def test_the_surrogate_of_a_linear_objective_is_its_value() -> None:
    problem = a_problem(12)
    keep = torch.arange(7) < 5
    loss = fused_head_loss(
        problem.hidden,
        problem.weight,
        targets=problem.targets,
        coefficients_of=coefficients(problem, reinforce_terms),
        keep=keep,
    )
    logp = naive(problem, reinforce_terms, with_bias=False).logp
    value = -(problem.advantages * logp)[keep].sum() / 7
    assert loss.surrogate.item() == pytest.approx(float(value))


@pytest.mark.parametrize("trained", [0, 1, 2])
def test_only_what_requires_a_gradient_gets_one(trained: int) -> None:
    problem = a_problem(13)
    theirs = naive(problem, reinforce_terms)
    inputs = [x.clone().requires_grad_(place == trained) for place, x in enumerate(problem[:3])]
    with Products() as products:
        loss = fused_head_loss(
            inputs[0],
            inputs[1],
            targets=problem.targets,
            coefficients_of=coefficients(problem, reinforce_terms),
            bias=inputs[2],
        )
    n_trained = int((loss.coefficients != 0).sum())
    assert products.multiply_adds == (7 + (n_trained if trained < 2 else 0)) * 5 * 11
    loss.surrogate.backward()
    assert [x.grad is not None for x in inputs] == [place == trained for place in range(3)]
    assert_same(inputs[trained].grad, theirs[2 + trained], relative=1e-12)


def test_no_gradient_is_computed_under_no_grad() -> None:
    problem = a_problem(14)
    hidden, weight, _ = leaves_of(problem)
    with torch.no_grad(), Products() as products:
        fused_head_loss(
            hidden,
            weight,
            targets=problem.targets,
            coefficients_of=coefficients(problem, reinforce_terms),
        )
    assert products.multiply_adds == 7 * 5 * 11


def test_a_second_backward_is_refused() -> None:
    problem = a_problem(15)
    loss = fused_head_loss(
        problem.hidden.requires_grad_(),
        problem.weight,
        targets=problem.targets,
        coefficients_of=coefficients(problem, reinforce_terms),
    )
    loss.surrogate.backward(retain_graph=True)
    with pytest.raises(BadInput, match=r"one backward\(\) per fused_head_loss"):
        loss.surrogate.backward()


def test_selected_logp_passes_gradcheck() -> None:
    problem = a_problem(16)
    keep = torch.arange(7) % 3 != 1

    def run(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        logp = selected_logp(
            hidden,
            weight,
            targets=problem.targets,
            bias=bias,
            keep=keep,
            temperature=0.7,
            tile_rows=2,
        )
        return logp[keep]

    assert torch.autograd.gradcheck(run, leaves_of(problem))


def test_selected_logp_serves_a_loss_over_everything_and_repeats() -> None:
    problem = a_problem(17, dtype=torch.float32)
    hidden, weight, _ = leaves_of(problem)
    logp = selected_logp(hidden, weight, targets=problem.targets, tile_rows=2)
    value = logp.logsumexp(0)
    value.backward(retain_graph=True)
    value.backward()
    inputs = [x.double().requires_grad_() for x in problem[:2]]
    naive_logp(inputs[0], inputs[1], None, problem.targets, 1.0).logsumexp(0).backward()
    for leaf, want in zip((hidden, weight), inputs, strict=True):
        assert want.grad is not None
        assert_same(leaf.grad, 2 * want.grad, relative=1e-5)


def test_gradients_have_the_dtype_of_their_tensors() -> None:
    problem = a_problem(18, dtype=torch.bfloat16)
    hidden, weight, _ = leaves_of(problem)
    logp = selected_logp(hidden, weight, targets=problem.targets)
    assert logp.dtype == torch.float32
    logp.sum().backward()
    loss = fused_head_loss(
        hidden,
        weight.float(),
        targets=problem.targets,
        coefficients_of=lambda rows: torch.ones_like(rows.logp),
    )
    first = hidden.grad
    assert first is not None
    assert first.dtype == torch.bfloat16
    again = torch.autograd.grad(loss.surrogate, hidden)[0]
    assert torch.equal(again, first)


def test_a_weight_changed_before_backward_is_noticed() -> None:
    problem = a_problem(19)
    hidden, weight, _ = leaves_of(problem)
    logp = selected_logp(hidden, weight, targets=problem.targets)
    with torch.no_grad():
        weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logp.sum().backward()


# --- bad input ---------------------------------------------------------------------------------


def too_few(seen: HeadRows) -> Tensor:
    return seen.logp[:2]


def not_a_number(seen: HeadRows) -> Tensor:
    return seen.logp * torch.nan


GOOD: dict[str, Any] = {
    "hidden": torch.ones(4, 3),
    "weight": torch.ones(6, 3),
    "targets": torch.tensor([0, 1, 2, 5]),
    "coefficients_of": lambda rows: torch.ones_like(rows.logp),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": torch.ones(2, 2, 3)}, r"hidden \(M, D\).*got hidden \(2, 2, 3\).*reshape"),
        ({"weight": torch.ones(3, 6)}, r"weight \(V, D\), got .*weight \(3, 6\)"),
        ({"weight": torch.ones(0, 3)}, "at least one token"),
        ({"hidden": torch.ones(4, 3, dtype=torch.int64)}, "floating dtypes"),
        ({"weight": torch.ones(6, 3, device="meta")}, "one device, got .* meta"),
        ({"bias": torch.ones(5)}, r"bias \(6,\), got \(5,\)"),
        ({"targets": torch.zeros(3, dtype=torch.int64)}, r"int64 targets \(4,\)"),
        ({"targets": torch.zeros(4)}, "got torch.float32"),
        ({"targets": torch.tensor([0, 1, -100, 5])}, r"targets\[2\]: .*0 to 5, got -100.*keep"),
        ({"targets": torch.tensor([0, 6, 1, 1])}, r"targets\[1\]: .*got 6"),
        ({"keep": torch.ones(3, dtype=torch.bool)}, r"a bool mask \(4,\)"),
        ({"keep": torch.ones(4)}, "a bool mask .*got torch.float32"),
        ({"temperature": 0.0}, "temperature above 0, got 0.0"),
        ({"temperature": float("nan")}, "temperature above 0, got nan"),
        ({"temperature": float("inf")}, "temperature above 0, got inf"),
        ({"tile_rows": 0}, "at least 1 row per tile"),
        ({"coefficients_of": too_few}, r"coefficients \(4,\), got \(2,\)"),
        ({"coefficients_of": not_a_number}, "finite coefficients, got nan"),
        ({"weight": torch.full((6, 3), 3e38)}, "row 0: expected finite log-probs.*overflow"),
    ],
)
@pytest.mark.parametrize("sequence_level", [False, True])
def test_bad_input_says_what_is_wrong(
    change: dict[str, Any], message: str, sequence_level: bool
) -> None:
    with pytest.raises(BadInput, match=message):
        fused_head(**(GOOD | change), sequence_level=sequence_level)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_hidden_state_that_is_not_finite_is_named(value: float) -> None:
    hidden = torch.ones(4, 3)
    hidden[2, 1] = value
    for run in (fused_head, fused_head_loss):
        with pytest.raises(BadInput, match="row 2: expected finite log-probs, got nan"):
            run(**(GOOD | {"hidden": hidden, "tile_rows": 2}))
    with pytest.raises(BadInput, match="row 2"):
        selected_logp(hidden, GOOD["weight"], targets=GOOD["targets"])


@pytest.mark.parametrize("sequence_level", [False, True])
def test_no_rows_is_no_gradient(sequence_level: bool) -> None:
    def never(rows: HeadRows) -> Tensor:
        raise AssertionError(rows)

    done = fused_head(
        torch.ones(0, 3),
        torch.ones(6, 3),
        targets=torch.zeros(0, dtype=torch.int64),
        coefficients_of=never,
        sequence_level=sequence_level,
    )
    assert done.logp.shape == (0,)
    assert done.grad_weight is not None
    assert not done.grad_weight.any()
    assert done.n_kept == done.n_trained == 0
