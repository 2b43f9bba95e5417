"""script/snapshot-engine on made-up packages of the engines that declare their options otherwise than by argparse alone."""

import unittest

from snapshot_case import options, yaml

import snapshot_llama


class Python(unittest.TestCase):
    def test_annotated_fields(self):
        found, _ = options(self, "sglang", {
            "sglang/srt/arg.py": """
                import msgspec
                from typing import Annotated
                A = Annotated
                class Arg(msgspec.Struct):
                    help: str = ""
                    choices: list | None = None
                    aliases: list | None = None
                    no_cli: bool = False
                def add_cli_args_from_dataclass(parser, cls): pass
            """,
            "sglang/srt/server_args.py": """
                import msgspec
                from typing import List, Literal, Optional
                from sglang.srt.arg import A, Arg, add_cli_args_from_dataclass
                class Memory(msgspec.Struct):
                    _NS_PATH = "memory"
                    fraction: A[Optional[float], "Share of memory."] = None
                    policy: A[str, Arg(help="x", choices=["lru", "lfu"], aliases=["--evict"])] = "lru"
                    graph: A[bool, "x"] = False
                    sizes: A[Optional[List[int]], "x"] = None
                    inner: A[int, Arg(no_cli=True)] = 1
                    path: A[str, Arg(help="x")]
                    plain: int = 3
                class ServerArgs:
                    @staticmethod
                    def add_cli_args(parser):
                        add_cli_args_from_dataclass(parser, ServerArgs)
                        parser.add_argument("--gone", action=DeprecatedStoreTrueAction, new_flag="--graph")
                        parser.add_argument("--twice", default=_declared_default("policy"))
                def _declared_default(name): return None
                class DeprecatedStoreTrueAction: pass
                _INPUT_NAMESPACES = [Memory]
                ServerArgs = msgspec.defstruct("ServerArgs", [])
            """})
        self.assertEqual(sorted(found), ["--fraction", "--gone", "--graph", "--path", "--policy", "--sizes", "--twice"])
        self.assertEqual((found["--fraction"]["type"], found["--fraction"]["group"]), ("float", "memory"))
        self.assertEqual((found["--policy"]["choices"], found["--policy"]["aliases"]), (["lru", "lfu"], ["--evict"]))
        self.assertEqual((found["--sizes"]["type"], found["--path"]["required"]), ("list", True))
        self.assertEqual((found["--gone"]["type"], found["--gone"]["deprecated"]), ("bool", "deprecated; use --graph"))
        self.assertEqual(found["--twice"]["default"], "lru")

    def test_environment_and_old_names(self):
        group = """
            from dynamo.util import Deprecated, add_argument, add_negatable_bool_argument
            class {name}:
                def add_arguments(self, parser):
                    g = parser.add_argument_group("x")
                    add_argument(g, flag_name="--port", env_var="DYN_PORT", default=8000, arg_type=int, help="x", obsolete_flag="--http")
                    add_negatable_bool_argument(g, flag_name="--events", env_var="DYN_EVENTS", default=True, help="x",
                                                deprecated=Deprecated("--stream", "v2"))
        """
        found, _ = options(self, "dynamo", {
            "dynamo/util.py": """
                from dataclasses import dataclass
                @dataclass
                class Deprecated:
                    replacement: str
                    remove_in: str
                def add_argument(parser, **kwargs): raise SystemExit
                def add_negatable_bool_argument(parser, **kwargs): raise SystemExit
            """,
            "dynamo/frontend/frontend_args.py": group.format(name="FrontendArgGroup"),
            "dynamo/common/configuration/groups/runtime_args.py": group.format(name="DynamoRuntimeArgGroup"),
            "dynamo/vllm/backend_args.py": group.format(name="DynamoVllmArgGroup")})
        self.assertEqual((found["--port"]["env"], found["--port"]["default"], found["--port"]["type"]), ("DYN_PORT", 8000, "int"))
        self.assertEqual(found["--http"]["deprecated"], "deprecated; use --port")
        self.assertEqual((found["--events"]["negatable"], found["--events"]["deprecated"]),
                         (True, "deprecated; to be removed in v2; use --stream"))

    def test_keys_of_pydantic_models(self):
        found, more = options(self, "deepspeed", {
            "deepspeed/inference/config.py": """
                from enum import Enum
                from typing import Dict, Optional, Union
                from pydantic import BaseModel, Field
                class Kind(str, Enum):
                    sym = "symmetric"
                    asym = "asymmetric"
                class Number(int): pass
                class Parallel(BaseModel):
                    size: int = Field(1, ge=1)
                    kind: Kind = Kind.sym
                    group: object = None
                class DeepSpeedInferenceConfig(BaseModel):
                    model: str
                    parallel: Parallel = Field({}, alias="tp")
                    tokens: int = Field(Number(5e8), gt=0, alias="tokens")
                    size: int = Field(1, json_schema_extra={"deprecated": True, "new_param": "parallel.size"})
                    policy: Optional[Dict] = None
            """,
            "deepspeed/inference/v2/config_v2.py": """
                from pydantic import BaseModel, PositiveInt
                class RaggedInferenceEngineConfig(BaseModel):
                    batch: PositiveInt = 768
            """})
        self.assertEqual(more, {"kind": "yaml_key"})
        self.assertEqual(list(found), ["model", "parallel", "parallel.size", "parallel.kind", "tokens", "size", "policy", "batch"])
        self.assertTrue(found["model"]["required"])
        self.assertEqual((found["parallel"]["type"], found["parallel"]["aliases"]), ("json", ["tp"]))
        self.assertEqual((found["parallel.kind"]["choices"], found["parallel.kind"]["default"]), (["symmetric", "asymmetric"], "symmetric"))
        self.assertEqual((found["tokens"]["default"], found["tokens"]["above"]), (500000000, 0))
        self.assertIsInstance(found["tokens"]["default"], int)
        self.assertNotIn("aliases", found["tokens"])
        self.assertEqual(found["size"]["deprecated"], "deprecated; use parallel.size")
        self.assertEqual(found["batch"]["above"], 0)

    def test_click(self):
        found, more = options(self, "tensorrt-llm", {
            "tensorrt_llm/commands/serve.py": """
                import click
                from tensorrt_llm.commands.help import help_info_with_stability_tag
                LEVELS = ["info", "debug"]
                @click.command("serve")
                @click.argument("model")
                @click.option("--tp_size", "--tp", type=int, default=1, help="x")
                @click.option("--level", type=click.Choice(LEVELS), default="info")
                @click.option("--stats/--no-stats", default=True)
                @click.option("--chunked", is_flag=True, default=False, help=help_info_with_stability_tag("x", "deprecated"))
                @click.option("--path", multiple=True)
                def serve(**kwargs): pass
            """,
            "tensorrt_llm/llmapi/llm_args.py": """
                from pydantic import BaseModel
                class TorchLlmArgs(BaseModel):
                    max_batch_size: int = 2048
            """})
        self.assertEqual((found["--tp_size"]["aliases"], found["--tp_size"]["type"]), (["--tp"], "int"))
        self.assertEqual((found["--level"]["type"], found["--level"]["choices"]), ("choice", ["info", "debug"]))
        self.assertEqual((found["--stats"]["negatable"], found["--stats"]["default"]), (True, True))
        self.assertEqual((found["--chunked"]["type"], found["--chunked"]["deprecated"]), ("bool", "deprecated"))
        self.assertEqual(found["--path"]["type"], "list")
        self.assertEqual([(k["name"], k["default"]) for k in more["keys"]], [("max_batch_size", 2048)])


class Languages(unittest.TestCase):
    HEADER = r"""
        enum prio { PRIO_LOW = -1, PRIO_NORMAL, PRIO_HIGH };
        #define DEFAULT_SEED 0xFFFFFFFF
        struct sampling { uint32_t seed = DEFAULT_SEED; float temp = 0.80f; // hot; not cold
        };
        struct common_params {
            int32_t n_ctx = 0; /* from; the model */
            int32_t n_parallel = 1;
            int32_t cache = 8 * 1024;
            enum prio priority = PRIO_NORMAL;
            bool no_mmap = false;
            std::string host = "127.0.0.1";
            ggml_type type_k = GGML_TYPE_F16;
            struct sampling sampling;
            std::string grammar;
        };
    """
    SOURCE = r"""
        const std::vector<ggml_type> kv_cache_types = { GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0 };
        if (ex == LLAMA_EXAMPLE_SERVER) { params.n_parallel = -1; }
        add_opt(common_arg(
            {"-c", "--ctx-size"}, "N",
            string_format("size (default: %d, 0 = model)", params.n_ctx),
            [](common_params & params, int value) { params.n_ctx = value; } // add_opt(common_arg({"--not"}, ...))
        ).set_env("LLAMA_ARG_CTX"));
        add_opt(common_arg({"--temp"}, "N", string_format("t (default: %.2f)", (double) params.sampling.temp),
            [](common_params & params, const std::string & value) { params.sampling.temp = std::stof(value); }).set_sampling());
        add_opt(common_arg({"--seed"}, "N", string_format("s (default: %d)", params.sampling.seed),
            [](common_params & params, const std::string & value) { params.sampling.seed = std::stoul(value); }));
        add_opt(common_arg({"-np", "--parallel"}, "N", string_format("n (default: %d)", params.n_parallel),
            [](common_params & params, int value) { params.n_parallel = value; }));
        add_opt(common_arg({"--cache"}, "N", string_format("n (default: %d)", params.cache),
            [](common_params & params, int value) { params.cache = value; }));
        add_opt(common_arg({"--prio"}, "N", string_format("n (default: %d)", params.priority),
            [](common_params & params, int value) { params.priority = (prio) value; }));
        add_opt(common_arg({"--mmap"}, {"--no-mmap"}, string_format("m (default: %s)", params.no_mmap ? "disabled" : "enabled"),
            [](common_params & params, bool value) { params.no_mmap = !value; }));
        add_opt(common_arg({"-fa", "--flash"}, "[on|off|auto]", "f ('on', 'off' or 'auto', default: 'auto')",
            [](common_params & params, const std::string & value) { use(value); }));
        add_opt(common_arg({"--split"}, "{none,layer}", "how:\n- none: one\n- layer (default): many",
            [](common_params & params, const std::string & value) { use(value); }));
        add_opt(common_arg({"-ctk", "--cache-type-k"}, "TYPE",
            string_format("type, one of %s (default: %s)", get_all_kv_cache_types().c_str(), ggml_type_name(params.type_k)),
            [](common_params & params, const std::string & value) { use(value); }));
        add_opt(common_arg({"--host"}, "HOST", string_format("h (default: %s)", params.host.c_str()),
            [](common_params & params, const std::string & value) { params.host = value; }).set_examples({LLAMA_EXAMPLE_SERVER}));
        add_opt(common_arg({"--grammar"}, "GRAMMAR", string_format("g (default: '%s')", params.sampling.grammar.c_str()),
            [](common_params & params, const std::string & value) { use(value); }));
        add_opt(common_arg({"--embedding"}, "e", [](common_params & params) { params.embedding = true; }));
        add_opt(common_arg({"--draft"}, "N", "the argument has been removed. use --spec-max",
            [](common_params &, int) { arg_removed("use --spec-max"); }));
        add_opt(common_arg({"--other"}, "N", "o", [](common_params & params, int value) { use(value); }).set_examples({LLAMA_EXAMPLE_IMATRIX}));
        add_opt(common_arg({"--left-out"}, "N", "o", [](common_params & params, int value) { use(value); }).set_excludes({LLAMA_EXAMPLE_SERVER}));
    """

    def test_llama_cpp(self):
        found = {e["name"]: e for e in snapshot_llama.read(self.SOURCE, [self.HEADER])}
        self.assertEqual(found["--ctx-size"], {"name": "--ctx-size", "aliases": ["-c"], "type": "int", "default": 0, "env": "LLAMA_ARG_CTX",
                                               "group": "common"})
        self.assertEqual((found["--temp"]["type"], found["--temp"]["default"], found["--temp"]["group"]), ("float", 0.8, "sampling"))
        self.assertEqual((found["--seed"]["default"], found["--parallel"]["default"], found["--cache"]["default"]), (-1, -1, 8192))
        self.assertEqual((found["--prio"]["default"], found["--host"]["default"], found["--host"]["group"]), (0, "127.0.0.1", "server"))
        self.assertEqual((found["--mmap"]["default"], found["--mmap"]["negatable"]), (True, True))
        self.assertEqual((found["--flash"]["choices"], found["--flash"]["default"]), (["on", "off", "auto"], "auto"))
        self.assertEqual((found["--split"]["choices"], found["--split"]["default"]), (["none", "layer"], "layer"))
        self.assertEqual((found["--cache-type-k"]["choices"], found["--cache-type-k"]["default"]), (["f32", "f16", "q8_0"], "f16"))
        self.assertEqual((found["--embedding"]["type"], found["--embedding"]["default"]), ("bool", False))
        self.assertEqual(found["--draft"]["deprecated"], "removed; use --spec-max")
        self.assertFalse({"--other", "--left-out", "--not"} & set(found))

    def test_rust(self):
        found, _ = options(self, "tgi", {"launcher/src/main.rs": """
            enum Dtype {
                Float16,
                #[clap(name = "bfloat16")]
                BFloat16,
            }

            struct Args {
                /// How many.
                #[clap(default_value = "128", long, env)]
                max_requests: usize,

                /// Legacy version of [`Args::max_requests`].
                #[clap(long, short, env = "OLD")]
                old_requests: Option<usize>,

                #[clap(long, env, value_enum)]
                dtype: Option<Dtype>,

                #[clap(long)]
                trust: bool,
            }
        """})
        self.assertEqual((found["--max-requests"]["type"], found["--max-requests"]["default"], found["--max-requests"]["env"]),
                         ("int", 128, "MAX_REQUESTS"))
        self.assertEqual((found["--old-requests"]["aliases"], found["--old-requests"]["env"], found["--old-requests"]["deprecated"]),
                         (["-o"], "OLD", "deprecated; use --max-requests"))
        self.assertEqual((found["--dtype"]["choices"], found["--trust"]["default"]), (["float16", "bfloat16"], False))

    def test_go(self):
        found, _ = options(self, "llm-d-epp", {
            "apix/config/v1alpha1/endpointpickerconfig_types.go": """
                package v1alpha1
                type EndpointPickerConfig struct {
                	// +required
                	Plugins []PluginSpec `json:"plugins"`
                	// Limit defaults to 5 when omitted.
                	Limit *int `json:"limit,omitempty"`
                }
                type PluginSpec struct {
                	Name string `json:"name"`
                	Type string `json:"type"`
                }
            """.replace("                ", ""),
            "pkg/scorer/queue.go": 'package scorer\nconst QueueType = "queue-scorer"\nconst OldType = "old-scorer"\n',
            "pkg/register.go": 'package pkg\nimport (\n\t"github.com/x/scorer"\n)\nfunc f() {\n\tplugin.Register(scorer.QueueType, scorer.Factory)\n'
                               "\tplugin.Register(scorer.OldType, scorer.DeprecatedFactory)\n}\n"})
        self.assertEqual((found["plugins"]["type"], found["plugins"]["required"], found["limit"]["default"]), ("list", True, 5))
        self.assertEqual(found["plugins[].type"]["choices"], ["old-scorer", "queue-scorer"])
        self.assertIn("deprecated", found["plugins[].type=old-scorer"])
        self.assertNotIn("deprecated", found["plugins[].type=queue-scorer"])

    @unittest.skipUnless(yaml, "PyYAML is not there")
    def test_chart(self):
        found, _ = options(self, "llm-d", {
            "charts/llm-d-modelservice/values.yaml": "a:\n  b: 1\n  old: # deprecated, use b\n    c: x\n  empty: {}\n  level: info\n",
            "charts/llm-d-modelservice/values.schema.json":
                '{"properties": {"a": {"properties": {"level": {"type": "string", "enum": ["info", "debug"]}, "more": {"type": "integer"}}}}}'})
        self.assertEqual((found["a.b"]["default"], found["a.empty"]["type"], found["a.more"]["type"]), (1, "json", "int"))
        self.assertEqual(found["a.old.c"]["deprecated"], "deprecated; use b")
        self.assertEqual(found["a.level"]["choices"], ["info", "debug"])


if __name__ == "__main__":
    unittest.main()
