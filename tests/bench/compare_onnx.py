#!/usr/bin/env python3
"""Tern against what a user would pick instead: ONNX Runtime and OpenVINO, int8.

Builds the same networks as QDQ graphs (u8 activations, s8 weights with a scale
for each filter) and runs them interleaved with `tern-bench --serve`, all on one
thread. Times are CPU times, so that other processes do not count. On a CPU with
AMX, --isa=avx512vnni_wide and ONEDNN_MAX_CPU_ISA=AVX512_CORE_VNNI in the
environment compare Tern, OpenVINO and oneDNN as they are without it.

    python3 -m venv venv && venv/bin/pip install onnx onnxruntime openvino
    venv/bin/python tests/bench/compare_onnx.py build/release/bin/tern-bench
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf import text_format
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_network(name):
    """The Graph message of tests/bench/networks/`name`.textproto."""
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(
            ["protoc", f"--proto_path={ROOT}/proto",
             f"--descriptor_set_out={out.name}", "tern/model/v1/model.proto"],
            check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(
            pathlib.Path(out.name).read_bytes())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    graph = message_factory.GetMessageClass(
        pool.FindMessageTypeByName("tern.model.v1.Graph"))()
    path = ROOT / "tests/bench/networks" / f"{name}.textproto"
    return text_format.Parse(path.read_text(), graph)


class QdqBuilder:
    """Builds the QDQ graph of a network with random ternary weights."""

    SCALE = np.float32(0.05)  # of every activation

    def __init__(self, graph, batch):
        self.random = np.random.default_rng(1)
        self.nodes, self.weights = [], []
        self.outputs, self.shapes = {}, {}
        self.constant("zero_u8", np.uint8(0))
        self.constant("scale", self.SCALE)
        image = graph.input
        self.picture = helper.make_tensor_value_info(
            "picture", TensorProto.UINT8,
            [batch, image.channels, image.height, image.width])
        self.add("DequantizeLinear", ["picture", "scale", "zero_u8"], "image")
        self.outputs["image"] = "image"
        self.shapes["image"] = (image.channels, image.height, image.width)
        last = "image"
        for node in graph.node:
            last = self.lower(node, node.input or last)
        classes = self.shapes[last][0]
        self.logits = helper.make_tensor_value_info(
            self.outputs[last], TensorProto.FLOAT, [batch, classes])

    def model(self):
        graph = helper.make_graph(self.nodes, "net", [self.picture],
                                  [self.logits], self.weights)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        return model.SerializeToString()

    def constant(self, name, value):
        self.weights.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, op, inputs, output, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def quantized(self, value, name):
        """Through u8 and back: what makes the graph an int8 one."""
        self.add("QuantizeLinear", [value, "scale", "zero_u8"], f"{name}_q")
        return self.add("DequantizeLinear", [f"{name}_q", "scale", "zero_u8"],
                        f"{name}_dq")

    def dequantized_weights(self, name, shape, axis=0):
        filters = shape[axis]
        taps = int(np.prod(shape)) // filters
        codes = self.random.integers(-1, 2, shape).astype(np.int8)
        scales = np.full(filters, 0.7 / np.sqrt(taps), np.float32)
        self.constant(f"{name}_w", codes)
        self.constant(f"{name}_ws", scales)
        self.constant(f"{name}_wz", np.zeros(filters, np.int8))
        weights = self.add("DequantizeLinear",
                           [f"{name}_w", f"{name}_ws", f"{name}_wz"],
                           f"{name}_wdq", axis=axis)
        return weights, scales

    def dequantized_bias(self, name, scales):
        filters = len(scales)
        self.constant(f"{name}_b", np.zeros(filters, np.int32))
        self.constant(f"{name}_bs", scales * self.SCALE)
        self.constant(f"{name}_bz", np.zeros(filters, np.int32))
        return self.add("DequantizeLinear",
                        [f"{name}_b", f"{name}_bs", f"{name}_bz"],
                        f"{name}_bdq", axis=0)

    def lower(self, node, source):
        kind = node.WhichOneof("op")
        x, shape = self.outputs[source], self.shapes[source]
        is_logits = kind == "linear" and node.activation == 0
        if kind in ("conv2d", "linear"):
            value, out = getattr(self, kind)(node, x, shape)
            if node.residual:
                value = self.add("Add", [value, self.outputs[node.residual]],
                                 f"{node.name}_sum")
            if node.activation == 1:
                value = self.add("Relu", [value], f"{node.name}_relu")
        else:
            value, out = getattr(self, kind)(node, x, shape)
        if not is_logits:
            value = self.quantized(value, node.name)
        self.outputs[node.name], self.shapes[node.name] = value, out
        return node.name

    def conv2d(self, node, x, shape):
        c = node.conv2d
        pad = [c.padding.top, c.padding.left, c.padding.bottom,
               c.padding.right]
        stride = [c.stride_h or 1, c.stride_w or 1]
        weights, scales = self.dequantized_weights(
            node.name, (c.filters, shape[0], c.kernel_h, c.kernel_w))
        bias = self.dequantized_bias(node.name, scales)
        value = self.add("Conv", [x, weights, bias], f"{node.name}_conv",
                         kernel_shape=[c.kernel_h, c.kernel_w], pads=pad,
                         strides=stride)
        if node.residual:
            # An own u8 between product and sum, as quantisers put it.
            value = self.quantized(value, f"{node.name}_conv")
        height = (shape[1] + pad[0] + pad[2] - c.kernel_h) // stride[0] + 1
        width = (shape[2] + pad[1] + pad[3] - c.kernel_w) // stride[1] + 1
        return value, (c.filters, height, width)

    def linear(self, node, x, shape):
        flat = self.quantized(self.add("Flatten", [x], f"{node.name}_flat"),
                              f"{node.name}_flat")
        weights, _ = self.dequantized_weights(
            node.name, (int(np.prod(shape)), node.linear.filters), axis=1)
        value = self.add("MatMul", [flat, weights], f"{node.name}_product")
        return value, (node.linear.filters, 1, 1)

    def max_pool2d(self, node, x, shape):
        p = node.max_pool2d
        kernel = [p.kernel_h, p.kernel_w]
        stride = [p.stride_h or kernel[0], p.stride_w or kernel[1]]
        pad = [p.padding.top, p.padding.left, p.padding.bottom,
               p.padding.right]
        value = self.add("MaxPool", [x], f"{node.name}_pool",
                         kernel_shape=kernel, strides=stride, pads=pad)
        height = (shape[1] + pad[0] + pad[2] - kernel[0]) // stride[0] + 1
        width = (shape[2] + pad[1] + pad[3] - kernel[1]) // stride[1] + 1
        return value, (shape[0], height, width)

    def global_avg_pool(self, node, x, shape):
        value = self.add("GlobalAveragePool", [x], f"{node.name}_pool")
        return value, (shape[0], 1, 1)


SHORTEST_SAMPLE = 5e-3  # seconds, as in measure.cc


def timer(run):
    """Yields CPU seconds of one run, the mean of a few after a warm-up."""
    def seconds(calls):
        begin = time.process_time()
        for _ in range(calls):
            run()
        return (time.process_time() - begin) / calls

    seconds(1)
    calls = 1 + int(SHORTEST_SAMPLE / seconds(1))

    def sample():
        run()
        return seconds(calls)
    return sample


def onnx_runtime(model, picture):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"])
    return timer(lambda: session.run(None, {"picture": picture}))


def openvino(model, picture):
    import openvino as ov
    core = ov.Core()
    compiled = core.compile_model(
        core.read_model(model), "CPU",
        {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1,
         "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    return timer(lambda: request.infer({0: picture}))


class Tern:
    def __init__(self, program, isa):
        self.child = subprocess.Popen(
            [program, "--serve", f"--isa={isa}"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def runner(self, network, batch, who):
        def run():
            self.child.stdin.write(f"{network} {batch} {who}\n")
            self.child.stdin.flush()
            answer = self.child.stdout.readline()
            if not answer or answer.startswith("error"):
                sys.exit(f"tern-bench: {answer.strip() or 'ended'}")
            return float(answer)
        return run


def compare(tern, network, batch, rounds):
    graph = read_network(network)
    model = QdqBuilder(graph, batch).model()
    image = graph.input
    picture = np.random.default_rng(2).integers(
        0, 256, (batch, image.channels, image.height, image.width)
    ).astype(np.uint8)
    contenders = {
        "tern": tern.runner(network, batch, "tern"),
        "onednn_int8_direct": tern.runner(network, batch,
                                          "onednn_int8_direct"),
        "onnxruntime_int8": onnx_runtime(model, picture),
        "openvino_int8": openvino(model, picture),
    }
    samples = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            samples[name].append(run())
    ours = statistics.median(samples["tern"])
    results = []
    for name, seconds in samples.items():
        median = statistics.median(seconds)
        print(f"{network:9} {batch:3}  {name:19} {median * 1e3:8.3f} ms  "
              f"(min {min(seconds) * 1e3:8.3f})  tern/this {ours / median:.3f}",
              flush=True)
        results.append({"name": f"{network}/b{batch}/{name}",
                        "median": median * 1e3, "min": min(seconds) * 1e3,
                        "unit": "ms"})
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tern_bench", help="the program")
    parser.add_argument("--network", default="vgg7,resnet18")
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--isa", default="auto", help="Tern's kernel table")
    parser.add_argument("--json", help="write the results to this file")
    arguments = parser.parse_args()
    tern = Tern(arguments.tern_bench, arguments.isa)
    results = []
    for network in arguments.network.split(","):
        for batch in arguments.batch.split(","):
            results += compare(tern, network, int(batch), arguments.rounds)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
