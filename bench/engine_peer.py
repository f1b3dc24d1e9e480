"""One of the other engines of bench/engines.py, spoken to as bench/engine_nnfuse.c is: it writes
"ready", reads a line, loads the model; then reads paths of raw float32 inputs, writes the first
output to <path>.out and the milliseconds of the run to standard output.

    engine_peer.py ENGINE MODEL THREADS DIM...
"""
import pathlib
import sys
import time

import numpy as np


def onnxruntime(path, threads, shape, optimize=True):
    import onnxruntime as ort
    yield ort.__version__
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    yield lambda x: session.run(None, {name: x})[0]


def onnxruntime_plain(path, threads, shape):
    return onnxruntime(path, threads, shape, optimize=False)


def openvino(path, threads, shape):
    import openvino as ov
    yield ov.__version__
    core = ov.Core()
    model = core.read_model(path)
    model.reshape(list(shape))
    # Its default precision may be a narrower one where the processor has instructions for it.
    compiled = core.compile_model(model, "CPU", {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    yield lambda x: request.infer([x], share_inputs=True)[0]


def ncnn(path, threads, shape):
    import ncnn as engine
    yield engine.__version__
    net = engine.Net()
    net.opt.num_threads = threads
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.load_param(path + ".ncnn.param")
    net.load_model(path + ".ncnn.bin")

    def run(x):
        extractor = net.create_extractor()
        extractor.input("in0", engine.Mat(x[0]))
        return np.array(extractor.extract("out0")[1])
    yield run


def pytorch(path, threads, shape):
    import onnx
    import onnx.numpy_helper
    import torch
    import torchvision
    yield torch.__version__
    torch.set_num_threads(threads)
    # torchvision's network of the file's name; its tensors have the same names in the file.
    model = getattr(torchvision.models, pathlib.Path(path).stem)(weights=None).eval()
    names = model.state_dict().keys()
    model.load_state_dict({
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(path).graph.initializer if tensor.name in names}, strict=False)

    def run(x):
        with torch.no_grad():
            return model(torch.from_numpy(x)).numpy()
    yield run


ENGINES = {
    "onnxruntime": onnxruntime, "onnxruntime-plain": onnxruntime_plain, "openvino": openvino,
    "ncnn": ncnn, "pytorch": pytorch,
}


def main():
    name, path, threads, *dims = sys.argv[1:]
    shape = tuple(int(d) for d in dims)
    engine = ENGINES[name](path, int(threads), shape)
    print("ready", next(engine), flush=True)
    sys.stdin.readline()
    run = next(engine)
    for line in sys.stdin:
        x = np.fromfile(line.strip(), np.float32).reshape(shape)
        start = time.perf_counter()
        y = run(x)
        took = time.perf_counter() - start
        np.ascontiguousarray(y, np.float32).tofile(line.strip() + ".out")
        print(took * 1e3, flush=True)


if __name__ == "__main__":
    main()
