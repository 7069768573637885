"""Make real Inspect logs with its scripted model; prints JSON, task name to file.

Run as a program of its own, because Inspect leaves streams open when its event loop ends.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any


def _outputs() -> Any:
    """Return a scripted model: what it answers depends on the question."""
    model = importlib.import_module("inspect_ai.model")
    made = model.ModelOutput

    def output(messages: list[Any]) -> Any:
        question = next(message.text for message in messages if message.role == "user")
        if question == "use the tool" and messages[-1].role == "user":
            return made.for_tool_call("mockllm/model", "weather", {"city": "nowhere"})
        if question == "go on":
            return made.for_tool_call("mockllm/model", "weather", {"city": "Oslo"})
        return made.from_content("mockllm/model", "4" if question != "2 + 3" else "6")

    def answer(messages: list[Any], *_: object) -> Any:
        said = output(messages)
        said.usage = model.ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
        return said

    return model.get_model("mockllm/model", custom_outputs=answer)


def _task(name: str, *questions: tuple[str, str], scorers: list[Any] | None, **more: Any) -> Any:
    inspect = importlib.import_module("inspect_ai")
    dataset = importlib.import_module("inspect_ai.dataset")
    solver = importlib.import_module("inspect_ai.solver")
    tool = importlib.import_module("inspect_ai.tool")

    @tool.tool
    def weather() -> Any:
        async def execute(city: str) -> str:
            """Look up the weather.

            Args:
                city: Name of the city.
            """
            if city == "nowhere":
                raise tool.ToolError("no such city")
            return "rain"

        return execute

    @solver.solver
    def crash_if_asked() -> Any:
        async def solve(state: Any, generate: Any) -> Any:
            if state.input_text == "crash":
                raise RuntimeError("the sandbox went away")
            return state

        return solve

    samples = [dataset.Sample(input=text, target=target) for text, target in questions]
    steps = [solver.use_tools(weather()), crash_if_asked(), solver.generate()]
    return inspect.Task(name=name, dataset=samples, solver=steps, scorer=scorers, **more)


def main(folder: str) -> None:
    inspect = importlib.import_module("inspect_ai")
    scorer = importlib.import_module("inspect_ai.scorer")
    questions = [("2 + 2", "4"), ("2 + 3", "5"), ("use the tool", "4"), ("crash", "4")]
    questions.append(("go on", "4"))
    one, both = [scorer.match()], [scorer.match(), scorer.includes()]
    tasks = [
        _task("sums", *questions, scorers=one, message_limit=6),
        _task("unjudged", ("2 + 2", "4"), scorers=None),
        _task("twice", ("2 + 2", "4"), scorers=both),
    ]
    common: dict[str, Any] = {
        "model": _outputs(),
        "log_dir": folder,
        "display": "none",
        "fail_on_error": False,
    }
    made = inspect.eval(tasks, **common)
    (as_json,) = inspect.eval(tasks[1], log_format="json", **common)
    files = {log.eval.task: log.location for log in made} | {"json": as_json.location}
    sys.stdout.write(json.dumps({name: at.removeprefix("file://") for name, at in files.items()}))


if __name__ == "__main__":
    main(sys.argv[1])
