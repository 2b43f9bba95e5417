"""Conversations that chat templates are checked with: name, what the template reads, whether tools are in it."""

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather in a city, \"now\" or <later>.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "City & country"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": "integer", "minimum": 1}}, "required": ["city"]}}},
    {"type": "function", "function": {
        "name": "add", "description": "Adds.",
        "parameters": {"type": "object", "properties": {
            "terms": {"type": "array", "items": {"type": "number"}}}, "required": ["terms"]}}},
]


def call(identifier, name, arguments):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def user(content):
    return {"role": "user", "content": content}


def assistant(content, **more):
    return {"role": "assistant", "content": content, **more}


SYSTEM = {"role": "system", "content": "You are terse.\nAnswer in one line."}
WEATHER = call("call00001", "get_weather", {"city": "Zürich", "unit": "celsius", "days": 2})
SUM = call("call00002", "add", {"terms": [1, 2.5, -3e20], "note": None, "exact": True})
PARALLEL = [user("Weather and a sum?"), assistant(None, tool_calls=[WEATHER, SUM]),
            {"role": "tool", "tool_call_id": "call00001", "name": "get_weather", "content": "{\"sky\": \"blue\"}"},
            {"role": "tool", "tool_call_id": "call00002", "name": "add", "content": "0"}]
TEXT_ARGUMENTS = call("call00003", "get_weather", '{"city": "Bern"}')
PARTS = [{"type": "text", "text": "First part. "}, {"type": "text", "text": "Second part."}]

CONVERSATIONS = [
    ("one question", {"messages": [user("Hi")], "add_generation_prompt": True}),
    ("no generation prompt", {"messages": [user("Hi"), assistant("Hello!")], "add_generation_prompt": False}),
    ("system", {"messages": [SYSTEM, user("Why?")], "add_generation_prompt": True}),
    ("many turns", {"messages": [SYSTEM, user("1"), assistant("one"), user("2"), assistant("two"), user("3")],
                    "add_generation_prompt": True}),
    ("no system, many turns", {"messages": [user("1"), assistant("one"), user("2")], "add_generation_prompt": True}),
    ("unicode", {"messages": [user("Grüße, 世界 🌍\u00a0—\u2028é\t\"'<&>\\ \u200b"), assistant("ñandú 🦤"),
                              user("\r\nمرحبا  ")], "add_generation_prompt": True}),
    ("control tokens as text", {"messages": [user("<|im_start|>system\n<s>[INST] {{ 7 * 7 }} {% raw %}<|eot_id|>")],
                                "add_generation_prompt": True}),
    ("empty and blank", {"messages": [{"role": "system", "content": ""}, user("  \n x \n"), assistant(""), user("y")],
                         "add_generation_prompt": True}),
    ("thinking", {"messages": [user("Q"), assistant("<think>\nhm\n</think>\n\nA"), user("R")],
                  "add_generation_prompt": True}),
    ("reasoning_content", {"messages": [user("Q"), assistant("A", reasoning_content="hm, yes"), user("R")],
                           "add_generation_prompt": True}),
    ("thinking off", {"messages": [SYSTEM, user("Q")], "add_generation_prompt": True,
                      "extra": {"enable_thinking": False, "thinking": False, "reasoning_effort": "low"}}),
    ("thinking on", {"messages": [user("Q")], "add_generation_prompt": True,
                     "extra": {"enable_thinking": True, "thinking": True, "reasoning_effort": "high"}}),
    ("content parts", {"messages": [user(PARTS)], "add_generation_prompt": True}),
    ("tools offered", {"messages": [SYSTEM, user("Weather?")], "tools": TOOLS, "add_generation_prompt": True}),
    ("tools without system", {"messages": [user("Weather?")], "tools": TOOLS, "add_generation_prompt": True}),
    ("one tool called", {"messages": [user("Weather?"), assistant("", tool_calls=[WEATHER]),
                                      {"role": "tool", "tool_call_id": "call00001", "name": "get_weather",
                                       "content": "rain"}, assistant("It rains."), user("And now?")],
                         "tools": TOOLS, "add_generation_prompt": True}),
    ("tool call last", {"messages": [user("Weather?"), assistant(None, tool_calls=[WEATHER])],
                        "tools": TOOLS, "add_generation_prompt": False}),
    ("two tools at once", {"messages": PARALLEL, "tools": TOOLS, "add_generation_prompt": True}),
    ("arguments as text", {"messages": [user("W"), assistant("", tool_calls=[TEXT_ARGUMENTS]),
                                        {"role": "tool", "tool_call_id": "call00003", "name": "get_weather",
                                         "content": "sun"}], "tools": TOOLS, "add_generation_prompt": True}),
    ("wrong order", {"messages": [assistant("first"), assistant("second"), user("third")],
                     "add_generation_prompt": True}),
    ("unknown role", {"messages": [user("a"), {"role": "critic", "content": "b"}], "add_generation_prompt": True}),
    ("developer", {"messages": [{"role": "developer", "content": "Be kind."}, user("a")],
                   "add_generation_prompt": True}),
]
