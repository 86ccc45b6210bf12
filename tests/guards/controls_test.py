#!/usr/bin/env python3
"""The guards see: each refuses a small tree or object that breaks its rule.

    controls_test.py CMAKE NM OBJDUMP CXX
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

GUARDS = pathlib.Path(__file__).resolve().parent
CMAKE, NM, OBJDUMP, CXX = sys.argv[1:5]


class Guard(unittest.TestCase):
    """Runs guards on files in a folder of the test's own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def run_guard(self, *command):
        done = subprocess.run([str(word) for word in command],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        # CMake wraps its messages.
        return done.returncode, " ".join(done.stdout.split())

    def passes(self, *command):
        code, output = self.run_guard(*command)
        self.assertEqual(code, 0, output)

    def refuses(self, message, *command):
        code, output = self.run_guard(*command)
        self.assertNotEqual(code, 0, output)
        self.assertIn(message, output)


class Layering(Guard):

    def guard(self):
        return CMAKE, f"-DROOT={self.root}", "-P", GUARDS / "check_layering.cmake"

    def test_arrows_are_followed(self):
        self.write("engine/base/a.h", '#include <vector>\n')
        self.write("engine/kernels/b.cc", '#include "engine/base/a.h"\n')
        self.write("server/c.cc", '#include "engine/engine.h"\n'
                                  '#include <grpcpp/grpcpp.h>\n')
        self.passes(*self.guard())

    def test_arrows_against_the_direction(self):
        for name, include in [
                ("engine/a.cc", '"server/server.h"'),
                ("engine/a.cc", '"tests/testing/tiny_model.h"'),
                ("engine/a.cc", '"tern/v1/inference.pb.h"'),
                ("engine/base/a.h", '"engine/model/graph.h"'),
                ("engine/kernels/a.h", '"engine/ops/op.h"'),
                ("server/batching/a.cc", '"server/rpc/server_call.h"'),
                ("trainer/a.cc", '"server/server.h"'),
                ("clients/cpp/a.cc", '"engine/engine.h"')]:
            for spelled in [include, f"<{include[1:-1]}>"]:
                for line in [f"#include {spelled}", f"#  include  {spelled}"]:
                    path = self.write(name, line + "\n")
                    with self.subTest(f"{name}: {line}"):
                        self.refuses(f"may not include {include[1:-1]}",
                                     *self.guard())
                    path.unlink()

    def test_paths_that_are_not_from_the_root(self):
        self.write("engine/base/a.h", '#include "../../server/server.h"\n')
        self.refuses("named from the root", *self.guard())

    def test_libraries_that_a_room_may_not_see(self):
        for name, include in [("engine/a.cc", "<grpcpp/grpcpp.h>"),
                              ("engine/a.cc", '"prometheus/counter.h"'),
                              ("server/serving/a.cc", "<microhttpd.h>"),
                              ("trainer/a.cc", "<prometheus/counter.h>")]:
            path = self.write(name, f"#include {include}\n")
            with self.subTest(f"{name}: {include}"):
                self.refuses("may not see this library", *self.guard())
            path.unlink()

    def test_onednn_has_one_door(self):
        self.write("engine/ops/pool.cc", "#include <oneapi/dnnl/dnnl.hpp>\n")
        self.refuses("may not include oneDNN", *self.guard())

    def test_no_sources(self):
        self.refuses("no sources", *self.guard())


class Numerics(Guard):
    TEST = "TEST(Sum, IsExact) {}\nTEST_P(Pool, Max) { Case{\"Odd\"}; }\n"

    def check(self, text):
        self.write("tests/a_test.cc", self.TEST)
        self.write("tests/CMakeLists.txt", "add_test(NAME guards.flags\n  COMMAND x)\n")
        self.write("engine/NUMERICS.md", text)
        return sys.executable, GUARDS / "check_numerics.py", self.root

    def test_named_promises(self):
        self.passes(*self.check("- Sums are\n  exact. [`Sum.IsExact`,\n"
                                "  `Pool.Max/Odd`, `guards.flags`]\n"))

    def test_promise_without_a_test(self):
        self.refuses("NUMERICS.md:2: names no test: - Pools pad.",
                     *self.check("- Sums. [`Sum.IsExact`]\n- Pools pad.\n"))

    def test_names_that_are_no_test(self):
        for name in ["Sum.IsNot", "Other.IsExact", "guards.flag", "Sum", "IsExact"]:
            with self.subTest(name):
                self.refuses(f"there is no test {name}",
                             *self.check(f"- Sums. [`Sum.IsExact`, `{name}`]\n"))

    def test_parameters_that_are_none(self):
        self.refuses("Pool.Max has no parameter Even",
                     *self.check("- Pools. [`Pool.Max/Even`]\n"))

    def test_tests_in_comments_do_not_count(self):
        self.TEST = "// TEST(Sum, IsExact) {}\n"
        self.refuses("there is no test Sum.IsExact",
                     *self.check("- Sums. [`Sum.IsExact`]\n"))

    def test_no_promise(self):
        self.refuses("has no promise", *self.check("Sums are exact.\n"))


class CompileFlags(Guard):

    def check(self, flags, source="engine/a.cc"):
        entry = {"directory": str(self.root), "file": str(self.root / source),
                 "command": f"c++ {flags} -c {source}"}
        path = self.write("build/compile_commands.json", json.dumps([entry]))
        return (sys.executable, GUARDS / "check_compile_flags.py", path, self.root)

    def test_exact(self):
        self.passes(*self.check("-O2 -ffp-contract=off -mfma"))

    def test_contracted(self):
        for flags in ["-O2", "-ffp-contract=fast",
                      "-ffp-contract=off -ffp-contract=fast"]:
            with self.subTest(flags):
                self.refuses("engine/a.cc: is compiled without -ffp-contract=off",
                             *self.check(flags))

    def test_reordered(self):
        self.refuses("is compiled with -ffast-math",
                     *self.check("-ffp-contract=off -ffast-math"))

    def test_no_source(self):
        self.refuses("no source", *self.check("-O2", "build/a.cc"))


class Objects(Guard):

    def compile(self, name, text):
        source = self.write(name, text)
        target = self.root / f"{name}.o"
        subprocess.run([CXX, "-c", source, "-o", target], check=True)
        return target

    def isa_objects(self, target):
        return (CMAKE, f"-DNM={NM}", f"-DOBJECTS={target}",
                "-P", GUARDS / "check_isa_objects.cmake")

    def test_strong_symbols(self):
        self.passes(*self.isa_objects(self.compile(
            "sum_avx2.cc", "int Sum(int a) { return a; }\n")))

    def test_weak_symbols(self):
        self.refuses("exports weak symbols", *self.isa_objects(self.compile(
            "sum_avx2.cc",
            "inline int Shared(int a) { return a; }\n"
            "int (*Sum())(int) { return &Shared; }\n")))

    def test_no_isa_object(self):
        self.refuses("no ISA object", *self.isa_objects(self.compile(
            "sum.cc", "int Sum(int a) { return a; }\n")))


# A loop around four multiply-accumulates and one more instruction.
LOOP = """asm(R"(
  .globl Hot
  Hot:
  .Lloop:
    MULTIPLY
    MULTIPLY
    MULTIPLY
    MULTIPLY
    INSTRUCTION
    JUMP
    ret
)");
"""


class Processor:
    """What the compiler compiles for: x86-64 and arm64 have tables."""
    MULTIPLY = "vpmaddwd %ymm1, %ymm2, %ymm3"
    JUMPS = ["dec %rax; jne .Lloop", "jmp .Lloop"]
    OPERANDS = ["vmovdqu (%rsi), %ymm2", "mov 8(%rsp), %rcx"]
    SPILLS = ["vmovdqu %ymm3, 32(%rsp)", "vmovdqa -64(%rbp), %ymm3",
              "vpaddd (%rsp,%rcx,8), %ymm3, %ymm3"]


class Arm64(Processor):
    MULTIPLY = ".arch armv8.2-a+dotprod; udot v3.4s, v2.16b, v1.4b[0]"
    JUMPS = ["subs x0, x0, #1; b.ne .Lloop", "cbnz w0, .Lloop",
             "tbz w0, #3, .Lloop", "b .Lloop"]
    OPERANDS = ["ldr q2, [x1, x2]", "ldr x3, [sp, #8]"]
    SPILLS = ["str q3, [sp, #32]", "ldp q3, q4, [x29, #-64]",
              "ld1 {v3.16b}, [sp]", "stp d8, d9, [sp, #-16]!"]


class HotLoops(Objects):
    MACHINE = subprocess.run([CXX, "-dumpmachine"], check=True, text=True,
                             capture_output=True).stdout
    PROCESSOR = Arm64 if MACHINE.startswith("aarch64") else Processor

    def check(self, instruction, jump=None):
        text = LOOP.replace("MULTIPLY", self.PROCESSOR.MULTIPLY)
        text = text.replace("JUMP", jump or self.PROCESSOR.JUMPS[0])
        target = self.compile("hot.cc", text.replace("INSTRUCTION", instruction))
        return sys.executable, GUARDS / "check_hot_loops.py", OBJDUMP, target

    def test_registers_and_operands(self):
        for instruction in self.PROCESSOR.OPERANDS:
            with self.subTest(instruction):
                self.passes(*self.check(instruction))

    def test_spilled_vectors(self):
        for instruction in self.PROCESSOR.SPILLS:
            with self.subTest(instruction):
                self.refuses("hot loop of Hot touches the stack",
                             *self.check(instruction))

    def test_every_kind_of_loop(self):
        for jump in self.PROCESSOR.JUMPS:
            with self.subTest(jump):
                self.refuses("hot loop of Hot touches the stack",
                             *self.check(self.PROCESSOR.SPILLS[0], jump))

    def test_no_hot_loop(self):
        target = self.compile("cold.cc", "int Sum(int a) { return a; }\n")
        self.refuses("no hot loop", sys.executable, GUARDS / "check_hot_loops.py",
                     OBJDUMP, target)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
