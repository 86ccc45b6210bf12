# The closing table of make demo, from results.json.
def percent: . * 10000 | round / 100 | "\(.) %";
def ms: . * 1000 | round / 1000 | "\(.) ms";
def kib: . / 102.4 | round / 10 | "\(.) KiB";
def times($more): $more / . * 10 | round / 10 | "\(.)x smaller";
def pad($n): . + (" " * ([$n - length, 1] | max));
def row($name; $value): ("  " + $name | pad(34)) + $value;

.served.images as $images |
[
  row("accuracy offline"; .offline.top1 | percent) + " of \(.offline.images) images (\(.offline.isa) kernels)",
  row("accuracy over gRPC"; .served.correct / $images | percent) + " of \($images) images (\(.served.answered_by.isa) kernels)",
  row("logits, gRPC against offline"; "equal, all \($images * .inspect.classes)"),
  row("throughput, 64 callers"; "\(.bench64.images_per_second | round) images/s in batches of \(.bench64.mean_batch * 10 | round / 10)"),
  row("latency, 64 callers"; "p50 \(.bench64.p50_ms | ms), p99 \(.bench64.p99_ms | ms)"),
  row("latency, 1 caller"; "p50 \(.bench1.p50_ms | ms), p99 \(.bench1.p99_ms | ms)"),
  row("model as float32"; .inspect.float32_bytes | kib),
  row("model file"; .inspect.file_bytes | kib) + ", " + (.inspect as $i | $i.file_bytes | times($i.float32_bytes)),
  row("model in memory"; .inspect.packed_bytes | kib) + ", " + (.inspect as $i | $i.packed_bytes | times($i.float32_bytes))
] | .[]
