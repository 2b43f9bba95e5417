"""Bad files, names, flags, ports: the exit code of the contract, and a message that names the culprit; never a crash."""

import os
import pathlib
import re
import socket
import struct
import subprocess
import tempfile
import unittest

import weir_process as weir

weir.skip_unless(weir.WEIR, weir.MODEL)
import gguf  # noqa: E402
import numpy as np  # noqa: E402

USAGE, BAD_INPUT, UNAVAILABLE = 2, 3, 4
# What opens a model; the commands that this build of the program does not have are left out.
AVAILABLE = weir.run("--help")[1]
COMMANDS = [c for c in ((("inspect",), ()), (("tokenize",), ("--text", "x")), (("eval", "ppl"), ("-f", __file__)),
                        (("run",), ("-p", "x", "-n", "1")), (("serve",), ("--port", "0"))) if f"\n  {c[0][0]} " in AVAILABLE]
# The cheapest one that loads the weights.
LOAD = (("bench", "engine"), ("--prompt", 8, "--gen", 0, "--reps", 1))


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        holder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(holder.cleanup)
        cls.folder = pathlib.Path(holder.name)
        os.chmod(cls.folder, 0o755)
        cls.model = weir.MODEL.read_bytes()

    def put(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return path

    def refused(self, code, *arguments, names=(), **options):
        got, out, err = weir.run(*arguments, timeout_s=60, **options)
        self.assertEqual(got, code, f"weir {' '.join(map(str, arguments))}\n{out}\n{err}")
        for name in names:
            self.assertIn(str(name), err)
        for noise in ("terminate called", "AddressSanitizer", "runtime error", "std::", "Assertion"):
            self.assertNotIn(noise, err)
        return err

    def refused_by_all(self, path, *names):
        for command, options in (*COMMANDS, LOAD):
            with self.subTest(command=command):
                self.refused(BAD_INPUT, *command, path, *options, names=(path, *names))

    def load_refused(self, path, *names):
        return self.refused(BAD_INPUT, *LOAD[0], path, *LOAD[1], names=(path, *names))

    def needs(self, command):
        if f"\n  {command} " not in AVAILABLE:
            self.skipTest(f"this program has no command '{command}'")

    def test_a_full_disk_under_stdout(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([str(weir.WEIR), "tokenize", str(weir.MODEL), "--text", "hello"], stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, timeout=60 * weir.SLOWDOWN)
        self.assertEqual(done.returncode, 4)
        self.assertIn(b"standard output could not be written", done.stderr)

    # What nobody reads is not computed to its end.
    def test_a_full_disk_ends_an_answer(self):
        for arguments, said in ((("-p", "Tell me a long story."), b""), ((), b"Tell me a long story.\nAnother one.\n")):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([str(weir.WEIR), "run", str(weir.MODEL), "-n", "400", "--temp", "0", *arguments], input=said, stdout=full,
                                      stderr=subprocess.PIPE, timeout=60 * weir.SLOWDOWN)
            err = done.stderr.decode()
            self.assertEqual(done.returncode, 4, err)
            self.assertIn("standard output could not be written: No space left on device", err)
            self.assertLess(sum(int(n) for n in re.findall(r"\u00b7 (\d+) tokens", err)), 50, err)

    def test_limits_that_do_not_hold_are_named(self):
        with weir.Server("--max-running", 600, "--ctx", 8000, "--kv-tokens", 4096) as server:
            said = [line for line in server.text().splitlines() if "limit_reduced" in line]
        self.assertEqual(len(said), 2, said)
        self.assertIn('option=--max-running asked=600 taken=512 reason="a step has 512 tokens (--step-tokens)', said[0])
        self.assertIn('option=--ctx asked=8000 taken=4096 reason="the KV cache has 4096 tokens (--kv-tokens)"', said[1])
        with weir.Server("--step-tokens", 32, "--ctx", 100000, "--max-running", 32) as server:  # defaults are nobody's wish
            said = [line for line in server.text().splitlines() if "limit_reduced" in line]
        self.assertEqual(len(said), 1, said)
        self.assertIn('option=--ctx asked=100000 taken=8192 reason="the model was trained for no longer window"', said[0])
        code, _, err = weir.run("run", weir.MODEL, "-p", "hi", "-n", "1", "--ctx", "100000")
        self.assertEqual(code, 0)
        self.assertIn("--ctx 100000 is more than the model was trained for; prompt and answer together have 8192 tokens", err)

    # What a command reads is not what it writes over.
    def test_inputs_are_not_written_over(self):
        self.needs("recipe")
        model = self.put("own.gguf", self.model)
        text = self.put("own.txt", b"Some words of a text. " * 200)
        base = self.put("own.klb", b"a base")
        before = {path: path.read_bytes() for path in (model, text, base)}
        for arguments in (("eval", "kl", model, "-f", text, "--save-base", model), ("eval", "kl", model, "-f", text, "--save-base", text),
                          ("eval", "kl", model, "--base", base, "-o", base), ("eval", "kl", model, "--base", base, "-o", model),
                          ("eval", "logits", model, "-f", text, "--count", 5, "-o", model),
                          ("eval", "logits", model, "-f", text, "--count", 5, "-o", text),
                          ("recipe", "gptqmodel", "--model", "org/M", "--scheme", "W4A16", "--calibration", text, "-o", text)):
            with self.subTest(arguments=arguments):
                self.refused(2, *arguments, names=("is read, or written by another option: give it a name of its own",))
        self.assertEqual(before, {path: path.read_bytes() for path in before})
        nowhere = self.folder / "none" / "k.json"
        self.refused(2, "eval", "kl", model, "--base", base, "-o", nowhere, names=("its folder is not there",))
        self.refused(2, "eval", "logits", model, "-f", text, "--count", 5, "-o", nowhere, names=("its folder is not there",))

    def test_what_a_project_holds_is_no_output(self):
        project = self.folder / "kept"
        self.assertEqual(weir.run("init", project)[0], 0)
        intake = project / "intake.yaml"
        before = intake.read_bytes()
        for command, flag in (("advise", "--graph"), ("plan", "-o"), ("plan", "--html"), ("cost", "--html"), ("review", "--html")):
            self.refused(USAGE, command, "--project", project, flag, intake, names=(f"{flag} {intake} is read",))
        self.refused(USAGE, "plan", "--project", project, "-o", project / "x", "--html", project / "x", names=("--html",))
        self.assertEqual(intake.read_bytes(), before)

    def test_closed_standard_files(self):
        # The next file that is opened must not become standard output; and no abort where nothing can be said.
        for closed in (">&-", "2>&- >&- <&-", ">/dev/full 2>/dev/full"):
            for command in ("intake fields", "intake fields --json"):
                done = subprocess.run(["sh", "-c", f'exec "{weir.WEIR}" {command} {closed}'], capture_output=True)
                self.assertEqual(done.returncode, UNAVAILABLE, (command, closed, done.stderr))
        with open("/dev/full", "wb") as full:
            err = subprocess.run([str(weir.WEIR), "sources", "list"], stdout=full, stderr=subprocess.PIPE).stderr
        self.assertIn(b"standard output could not be written: No space left", err)

    def test_names_out_of_files_do_not_steer_the_terminal(self):
        project = self.folder / "named"
        self.assertEqual(weir.run("init", project)[0], 0)
        script = self.put("serve.sh", b"vllm serve \x1b[31mred --\x1b[31mflag 1\n")
        for arguments in (("config", "check", script), ("intake", "--project", project, "--config", script)):
            code, out, err = weir.run(*arguments)
            self.assertIn(code, (0, 1))
            self.assertIn("\ufffd[31m", out)
            self.assertNotIn("\x1b", out + err)

    def test_empty_file(self):
        self.refused_by_all(self.put("empty.gguf", b""))

    def test_directory(self):
        path = self.folder / "folder.gguf"
        path.mkdir()
        self.refused_by_all(path)

    def test_text_file(self):
        self.refused_by_all(self.put("notes.gguf", b"These are notes, not a model.\n" * 100))

    def test_html_instead_of_a_download(self):
        self.refused_by_all(self.put("page.gguf", b"<!DOCTYPE html><html><body>404</body></html>"))

    def test_truncated_download(self):
        for kept in (3, 20, 1000, 1_000_000, len(self.model) // 2, len(self.model) - 1):
            with self.subTest(kept=kept):
                self.load_refused(self.put("cut.gguf", self.model[:kept]))

    def test_no_such_file_and_name(self):
        self.refused_by_all(self.folder / "nowhere.gguf")
        self.load_refused("no-such-model", weir.MODEL.stem)

    def patched(self, name, old, new):
        self.assertEqual(len(old), len(new))
        self.assertIn(old, self.model)
        return self.put(name, self.model.replace(old, new, 1))

    def test_unknown_architecture(self):
        old = struct.pack("<Q", 5) + b"llama"
        path = self.patched("arch.gguf", old, struct.pack("<Q", 5) + b"lxama")
        self.load_refused(path, "lxama", "llama", "qwen2", "qwen3")

    def test_missing_tensor(self):
        path = self.patched("missing.gguf", b"blk.3.attn_q.weight", b"blk.3.attn_x.weight")
        self.load_refused(path, "blk.3.attn_q.weight")

    def test_wrong_shape(self):
        name = b"blk.3.attn_q.weight"
        at = self.model.index(name) + len(name) + 4
        rows = struct.unpack_from("<Q", self.model, at + 8)[0]
        data = bytearray(self.model)
        struct.pack_into("<Q", data, at + 8, rows // 2)
        path = self.put("shape.gguf", bytes(data))
        self.load_refused(path, "blk.3.attn_q.weight")

    def test_nan_weights(self):
        tensor = next(t for t in gguf.GGUFReader(str(weir.MODEL)).tensors if t.name == "blk.3.attn_norm.weight")
        data = bytearray(self.model)
        struct.pack_into("<f", data, tensor.data_offset + 40, float("nan"))
        path = self.put("nan.gguf", bytes(data))
        self.load_refused(path, "blk.3.attn_norm.weight")

    def test_larger_than_memory(self):
        path = self.folder / "huge.gguf"
        write_huge_model(path)
        error = self.load_refused(path, "MiB")
        self.assertRegex(error, r"(?i)memory")
        # 816 GB of second moments are seen before anything is loaded.
        text = self.put("calibration.txt", b"Some words of a text. " * 200)
        if os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_frsize < 800e9:
            out, moments = self.folder / "im.gguf", self.folder / "mo.gguf"
            self.refused(BAD_INPUT, "imatrix", path, "--data", text, "-o", out, "--moments", moments,
                         names=("--moments", moments, "bytes and the disk has", "another disk"))

    def test_no_permission(self):
        path = self.put("secret.gguf", self.model[:4096])
        path.chmod(0)
        options = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
        try:
            subprocess.run([str(weir.WEIR), "--version"], check=True, capture_output=True, **options)
        except (subprocess.CalledProcessError, PermissionError):
            self.skipTest("an unprivileged user cannot reach the program here")
        error = self.refused(BAD_INPUT, "inspect", path, names=(path,), **options)
        self.assertRegex(error, r"(?i)permission")

    def test_port_in_use(self):
        self.needs("serve")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            error = self.refused(UNAVAILABLE, "serve", weir.MODEL, "--host", "127.0.0.1", "--port", port, names=(port, "in use"))
            self.assertNotIn("loaded", error, "the model was loaded before the port was tried")

    def test_a_server_says_what_is_wrong_before_it_loads_a_model(self):
        self.needs("serve")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            for code, arguments, names in (
                    (UNAVAILABLE, ("--port", port), (port, "in use")),
                    (UNAVAILABLE, ("--port", 0, "--admin-port", port, "--admin-token", "t"), (port, "in use")),
                    (BAD_INPUT, ("--keys-file", "no.yaml"), ("keys_file", "no.yaml", "No such file")),
                    (BAD_INPUT, ("--tls-cert", "no.crt", "--tls-key", "no.key"), ("--tls-cert", "no.crt")),
                    (USAGE, ("--tls-cert", "no.crt"), ("--tls-key is missing",)),
                    (USAGE, ("--admin-port", 0), ("--admin-token-file",)),
                    (USAGE, ("--host", "0.0.0.0", "--api-key", ""), ("--api-key", "empty")),
                    (USAGE, ("--otlp-endpoint", "localhost:4318"), ("otlp.endpoint (--otlp-endpoint)", "http://host:port")),
                    (USAGE, ("--kv-tier-file", self.folder / "tier"), ("kv.tier_file", "--kv-tier-bytes")),
                    (USAGE, ("--kv-snapshot", "/no/such/folder/s"), ("kv.snapshot", "/no/such/folder/s")),
                    (USAGE, ("--kv-events-zmq-replay", "tcp://127.0.0.1:1"), ("kv.events_zmq_replay", "--kv-events-zmq"))):
                with self.subTest(arguments=arguments):
                    error = self.refused(code, "serve", weir.MODEL, *arguments, names=names)
                    self.assertNotIn("loaded", error)

    def test_config_check_finds_what_a_server_would_refuse(self):
        self.needs("config")
        for text, names in (("fairness: fair\n", (":1: fairness", "vtc, fifo")), ("kv: {type: q8}\n", (":1: kv.type", "f16, bf16, q8_0, q4_0")),
                            ("kv: {type_k: q8}\n", (":1: kv.type_k must be one of f16,",)),
                            ("admin: {port: 9090}\n", ("--admin-token-file",)), ("tls: {cert: a}\n", ("--tls-key is missing",)),
                            ("keys_file: /no/keys.yaml\n", ("/no/keys.yaml",)), ("speculation: {depth: maybe}\n", ("off, auto or a number",)),
                            ("host: 0.0.0.0\n", ("keys-file",)), ("kv: {tier_file: t}\n", ("--kv-tier-bytes",))):
            path = self.put("check.yaml", text.encode())
            with self.subTest(text=text):
                self.refused(BAD_INPUT, "config", "check", path, names=(path, *names))

    def test_a_misspelt_flag_or_variable_names_the_nearest(self):
        self.refused(USAGE, "serve", weir.MODEL, "--prt", "9000", names=("weir serve has no flag --prt", "--port", "weir serve --help"))
        for words in (("quantize", "--chunks"), ("quantize", "-z"), ("inspect", str(weir.MODEL), "-")):
            self.assertNotIn("nearest", self.refused(USAGE, *words, names=(f"weir {words[0]} has no flag {words[-1]};",)))
        self.refused(USAGE, "bench", "load", "--concurency=3", names=("weir bench load has no flag --concurency", "--concurrency"))
        self.refused(USAGE, "inspect", weir.MODEL, "another", names=('"another"',))
        with weir.Server(env={"WEIR_SLO_ITL": "30"}) as server:
            self.assertIn("unknown_variable name=WEIR_SLO_ITL nearest=WEIR_SLO_ITL_MS", server.text())

    def test_arrivals_that_would_be_ignored(self):
        for arguments, names in ((("--rate", 2, "--arrival", "trace"), ("--trace FILE",)), (("--concurrency", 2, "--arrival", "gamma:2"), ("--concurrency",))):
            self.refused(USAGE, "bench", "load", *arguments, "--requests", 1, names=("--arrival", *names))

    def test_cache_events_want_an_address(self):
        self.needs("serve")
        self.refused(USAGE, "serve", weir.MODEL, "--port", 0, "--kv-events-zmq", "foo", names=("foo", "tcp://HOST:PORT"))

    def test_serving_others_without_keys(self):
        self.needs("serve")
        self.refused(USAGE, "serve", weir.MODEL, "--host", "0.0.0.0", "--port", 0, names=("--api-key", "--allow-remote-without-keys"))

    def test_unknown_command(self):
        self.refused(USAGE, "bogus", names=('"bogus"', "run, serve, gateway, cache, embed, tokenize"))
        self.refused(USAGE, "bench", "engin", weir.MODEL, names=('"engin"', "engine, machine", "weir bench --help"))
        self.refused(USAGE, "eval", "perplexity", weir.MODEL, names=('"perplexity"', "ppl, logits", "weir eval --help"))

    def test_bounds_are_named(self):
        self.refused(USAGE, "serve", weir.MODEL, "--kv-events-zmq", "tcp://*:5557", names=("kv.events_zmq", "--kv-events-remote"))
        self.refused(USAGE, "serve", weir.MODEL, "--port", "65536", names=("--port", "0 to 65535"))
        self.refused(USAGE, "run", weir.MODEL, "-p", "x", "--seed", "-1", names=("--seed", "0 to 18446744073709551615"))
        self.refused(USAGE, "bench", "engine", weir.MODEL, "--prompt", "0", "--gen", "0", names=("--prompt", "--gen"))

    def test_one_document_needs_one_message(self):
        self.refused(USAGE, "run", weir.MODEL, "--json", names=("--json", "-p or -f"))
        self.refused(USAGE, "run", weir.MODEL, "--raw", names=("--raw", "-p or -f"))

    def test_usage(self):
        for arguments in ((), ("fly",), ("run",), ("serve",), ("serve", weir.MODEL, "--port", "99999"), ("serve", weir.MODEL, "--port", "x"),
                          ("run", weir.MODEL, "--no-such-flag"), ("run", weir.MODEL, "-p", "x", "-n", "-5"),
                          ("run", weir.MODEL, "-p", "x", "--temp", "hot"), ("bench",), ("bench", "engine"), ("eval", "ppl"),
                          ("inspect", weir.MODEL, "--no-such-flag"), ("bench", "engine", weir.MODEL, "--reps", "-1"),
                          ("bench", "engine", weir.MODEL, "--threads", "two"), ("eval", "ppl", weir.MODEL)):
            with self.subTest(arguments=arguments):
                self.refused(USAGE, *arguments)

    def test_kv_types(self):
        for command, options in (*COMMANDS, LOAD):
            if command == ("tokenize",):
                continue
            for flag in ("--kv-type", "--kv-type-k", "--kv-type-v"):
                with self.subTest(command=command, flag=flag):
                    self.refused(USAGE, *command, weir.MODEL, *options, flag, "q5_1", names=(flag, '"q5_1"', "f16, bf16, q8_0, q4_0"))

    def test_eval_of_too_short_a_text(self):
        path = self.put("short.txt", b"Too short.")
        self.refused(BAD_INPUT, "eval", "ppl", weir.MODEL, "-f", path, names=("at least 1024", "--ctx"))
        self.refused(BAD_INPUT, "eval", "ppl", weir.MODEL, "-f", self.folder / "no.txt", names=(self.folder / "no.txt",))

    def test_isa_override(self):
        environment = {**os.environ, "WEIR_ISA": "mmx"}
        error = self.refused(USAGE, *LOAD[0], weir.MODEL, *LOAD[1], names=("mmx", "scalar"), env=environment)
        self.assertIn("WEIR_ISA", error)

    def test_help(self):
        for command in ((), *(c[0] for c in (*COMMANDS, LOAD)), ("eval", "logits")):
            arguments = (*command, "--help")
            code, out, _ = weir.run(*arguments)
            self.assertEqual(code, 0, arguments)
            self.assertIn("xample", out, arguments)
        self.assertEqual(weir.run("help"), weir.run("--help"))
        self.assertEqual(weir.run("help", "eval", "ppl"), weir.run("eval", "ppl", "--help"))
        self.assertEqual(weir.run("version"), weir.run("--version"))
        code, _, errors = weir.run("--versoin")
        self.assertEqual(code, USAGE)
        self.assertIn("weir has no flag --versoin; the nearest is --version", errors)


def write_huge_model(path):
    """A llama of about 1 TB as a file with holes: all the tensors are there, and none of the disk."""
    layers, width, inner, words = 80, 16384, 65536, 512
    writer = gguf.GGUFWriter(None, "llama")
    writer.add_block_count(layers)
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(128)
    writer.add_head_count_kv(8)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(words)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)] + [f"w{i}" for i in range(words - 259)])
    writer.add_token_scores([0.0] * words)
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (words - 259))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    total = 0

    def add(name, *shape, kind=gguf.GGMLQuantizationType.F16):
        nonlocal total
        size = 2 if kind == gguf.GGMLQuantizationType.F16 else 4
        for extent in shape:
            size *= extent
        writer.add_tensor_info(name, shape, np.dtype("float16" if kind == gguf.GGMLQuantizationType.F16 else "float32"),
                               size, kind)
        total += size

    f32 = gguf.GGMLQuantizationType.F32
    add("token_embd.weight", words, width)
    add("output_norm.weight", width, kind=f32)
    add("output.weight", words, width)
    for i in range(layers):
        add(f"blk.{i}.attn_norm.weight", width, kind=f32)
        add(f"blk.{i}.ffn_norm.weight", width, kind=f32)
        add(f"blk.{i}.attn_q.weight", width, width)
        add(f"blk.{i}.attn_k.weight", width // 16, width)
        add(f"blk.{i}.attn_v.weight", width // 16, width)
        add(f"blk.{i}.attn_output.weight", width, width)
        add(f"blk.{i}.ffn_gate.weight", inner, width)
        add(f"blk.{i}.ffn_up.weight", inner, width)
        add(f"blk.{i}.ffn_down.weight", width, inner)
    writer.write_header_to_file(path)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with open(path, "ab") as file:
        file.truncate((file.tell() + 31) // 32 * 32 + total)


if __name__ == "__main__":
    unittest.main(verbosity=2)
