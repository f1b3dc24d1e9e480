"""Writes small models as exporters other than torch.onnx.export's older one write them, and what
ONNX Runtime computes with them: tests/goldens/onnx/from_<exporter>.onnx and exporters.golden. Those
in the style of tf2onnx, Keras and Paddle are built here; PyTorch's dynamo exporter writes its own
(torch 2.13.0, onnxscript 0.7.2)."""
import pathlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto as T
from onnx import helper as h
from onnx import numpy_helper

import golden

HERE = pathlib.Path(__file__).resolve().parent
random = np.random.default_rng(11)


def weight(name, *shape, low=-.5, high=.5):
    return numpy_helper.from_array(random.uniform(low, high, shape).astype(np.float32), name)


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def node(op, inputs, output, **attributes):
    return h.make_node(op, inputs, [output], name=attributes.pop("name", output), **attributes)


def batchnorm(names, channels):
    return [weight(name, channels, low=.5 if i in (0, 3) else -.5, high=1.5)
            for i, name in enumerate(names)]


def save(name, producer, opset, ir, nodes, initializers, x, y):
    image = [h.make_tensor_value_info(x, T.FLOAT, ["batch", *(6, 6, 2)] if name != "paddle" else
                                      ["batch", 2, 6, 6])]
    result = [h.make_tensor_value_info(y, T.FLOAT, ["batch", 3])]
    model = h.make_model(h.make_graph(nodes, name, image, result, initializers), ir_version=ir,
                         producer_name=producer, opset_imports=[h.make_opsetid("", opset)])
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, HERE / "onnx" / f"from_{name}.onnx")


def tf2onnx():
    """NHWC between Transposes, weights in TensorFlow's order, SAME padding, batch norm as Mul and
    Add, a Reshape whose batch is computed."""
    at = "StatefulPartitionedCall/model/"
    nodes = [
        node("Transpose", ["image:0"], f"{at}conv/Conv2D__6:0", perm=[0, 3, 1, 2]),
        node("Transpose", [f"{at}conv/Conv2D/ReadVariableOp:0"], "kernel__7:0", perm=[3, 2, 0, 1]),
        node("Conv", [f"{at}conv/Conv2D__6:0", "kernel__7:0"], f"{at}conv/Conv2D:0",
             auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3], dilations=[1, 1], group=1),
        node("Mul", [f"{at}conv/Conv2D:0", "scale__8:0"], f"{at}bn/mul:0"),
        node("Add", [f"{at}bn/mul:0", "shift__9:0"], f"{at}bn/add:0"),
        node("Relu", [f"{at}bn/add:0"], f"{at}relu/Relu:0"),
        node("Transpose", [f"{at}relu/Relu:0"], f"{at}relu/Relu__10:0", perm=[0, 2, 3, 1]),
        node("Transpose", [f"{at}relu/Relu__10:0"], f"{at}conv2/Conv2D__11:0", perm=[0, 3, 1, 2]),
        node("Conv", [f"{at}conv2/Conv2D__11:0", "kernel2:0", "bias2:0"], f"{at}conv2/BiasAdd:0",
             auto_pad="SAME_UPPER", strides=[1, 1], kernel_shape=[3, 3]),
        node("BatchNormalization", [f"{at}conv2/BiasAdd:0", "gamma:0", "beta:0", "mean:0", "var:0"],
             f"{at}bn2/FusedBatchNormV3:0", epsilon=1e-3),
        node("Relu", [f"{at}bn2/FusedBatchNormV3:0"], f"{at}relu2/Relu:0"),
        node("MaxPool", [f"{at}relu2/Relu:0"], f"{at}pool/MaxPool:0", auto_pad="SAME_UPPER",
             kernel_shape=[2, 2], strides=[2, 2]),
        node("Transpose", [f"{at}pool/MaxPool:0"], f"{at}pool/MaxPool__12:0", perm=[0, 2, 3, 1]),
        node("Shape", [f"{at}pool/MaxPool__12:0"], "shape__13:0"),
        node("Slice", ["shape__13:0", "begin:0", "end:0", "axis:0"], "size__14:0"),
        node("Concat", ["size__14:0", "rest:0"], "target__15:0", axis=0),
        node("Reshape", [f"{at}pool/MaxPool__12:0", "target__15:0"], f"{at}flatten/Reshape:0"),
        node("MatMul", [f"{at}flatten/Reshape:0", "dense:0"], f"{at}dense/MatMul:0"),
        node("Add", [f"{at}dense/MatMul:0", "dense_bias:0"], f"{at}dense/BiasAdd:0"),
        node("Softmax", [f"{at}dense/BiasAdd:0"], "Identity__16:0", axis=1),
        node("Identity", ["Identity__16:0"], "Identity:0")]
    save("tf2onnx", "tf2onnx", 13, 7, nodes, [
        weight(f"{at}conv/Conv2D/ReadVariableOp:0", 3, 3, 2, 4),
        weight("scale__8:0", 1, 4, 1, 1, low=.5, high=1.5), weight("shift__9:0", 1, 4, 1, 1),
        weight("kernel2:0", 4, 4, 3, 3), weight("bias2:0", 4),
        *batchnorm(["gamma:0", "beta:0", "mean:0", "var:0"], 4), ints("begin:0", 0), ints("end:0", 1),
        ints("axis:0", 0), ints("rest:0", 16), weight("dense:0", 16, 3), weight("dense_bias:0", 3)],
        "image:0", "Identity:0")


def keras():
    """A MobileNet block: ZeroPadding2D in front of a VALID convolution, a depthwise convolution
    whose kernel is reshaped, ReLU6 as Clip, global pooling kept as [N, C, 1, 1] and squeezed."""
    bn = lambda i: [f"bn_{i}/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")]
    nodes = [
        node("Transpose", ["input_1"], "adjusted_input1", perm=[0, 3, 1, 2]),
        node("Pad", ["adjusted_input1", "pads", "nothing"], "conv1_pad", mode="constant"),
        node("Conv", ["conv1_pad", "conv1/kernel"], "conv1", auto_pad="VALID", strides=[2, 2],
             kernel_shape=[3, 3]),
        node("BatchNormalization", ["conv1", *bn(1)], "conv1_bn", epsilon=1e-3, momentum=.99),
        node("Clip", ["conv1_bn", "zero", "six"], "conv1_relu"),
        node("Reshape", ["dw/depthwise_kernel", "dw_shape"], "dw_kernel"),
        node("Conv", ["conv1_relu", "dw_kernel"], "dw", auto_pad="SAME_UPPER", group=4,
             kernel_shape=[3, 3]),
        node("BatchNormalization", ["dw", *bn(2)], "dw_bn", epsilon=1e-3, momentum=.99),
        node("Clip", ["dw_bn", "zero", "six"], "dw_relu"),
        node("GlobalAveragePool", ["dw_relu"], "pool"),
        node("Squeeze", ["pool", "axes"], "squeezed"),
        node("Gemm", ["squeezed", "dense/kernel", "dense/bias"], "dense"),
        node("Sigmoid", ["dense"], "predictions")]
    save("keras", "keras2onnx", 13, 7, nodes, [
        ints("pads", 0, 0, 0, 0, 0, 0, 1, 1), weight("nothing", low=0, high=0),
        weight("conv1/kernel", 4, 2, 3, 3), *batchnorm(bn(1), 4),
        numpy_helper.from_array(np.float32(0), "zero"),
        numpy_helper.from_array(np.float32(6), "six"),
        weight("dw/depthwise_kernel", 4, 1, 9), ints("dw_shape", 4, 1, 3, 3), *batchnorm(bn(2), 4),
        ints("axes", 2, 3), weight("dense/kernel", 4, 3), weight("dense/bias", 3)],
        "input_1", "predictions")


def paddle():
    """Weights in Constant nodes with an Identity behind each, a hard swish of four nodes, dropout
    as an Identity, shape arithmetic in front of a Reshape, MatMul and Add. Opset 11."""
    nodes = []

    def parameter(tensor):
        name = tensor.name
        tensor.name = f"{name}.value"
        nodes.append(node("Constant", [], tensor.name, value=tensor, name=f"p2o.Constant.{name}"))
        nodes.append(node("Identity", [tensor.name], name, name=f"p2o.Identity.{name}"))
        return name

    norm = [f"batch_norm2d_0.{part}" for part in ("w_0", "b_0", "w_1", "w_2")]
    kernel, channels = parameter(weight("conv2d_0.w_0", 4, 2, 3, 3)), []
    channels = [parameter(tensor) for tensor in batchnorm(norm, 4)]
    dense, bias = parameter(weight("linear_0.w_0", 4, 3)), parameter(weight("linear_0.b_0", 3))
    scalars = [parameter(numpy_helper.from_array(np.float32(v), f"p2o.scalar.{v}"))
               for v in (3, 0, 6)]
    shape = [parameter(ints(f"p2o.ints.{i}", v)) for i, v in enumerate((0, 1, 4))]
    nodes += [
        node("Conv", ["x", kernel], "conv2d_0.tmp_0", name="p2o.Conv.0", pads=[1, 1, 1, 1],
             kernel_shape=[3, 3], strides=[1, 1], dilations=[1, 1], group=1),
        node("BatchNormalization", ["conv2d_0.tmp_0", *channels], "batch_norm_0.tmp_2",
             name="p2o.BatchNormalization.0", epsilon=1e-5, momentum=.9),
        node("Add", ["batch_norm_0.tmp_2", scalars[0]], "p2o.Add.1"),
        node("Clip", ["p2o.Add.1", scalars[1], scalars[2]], "p2o.Clip.1"),
        node("Mul", ["batch_norm_0.tmp_2", "p2o.Clip.1"], "p2o.Mul.1"),
        node("Div", ["p2o.Mul.1", scalars[2]], "hardswish_0.tmp_0"),
        node("GlobalAveragePool", ["hardswish_0.tmp_0"], "pool2d_0.tmp_0"),
        node("Shape", ["pool2d_0.tmp_0"], "p2o.Shape.0"),
        node("Slice", ["p2o.Shape.0", shape[0], shape[1], shape[0]], "p2o.Slice.0"),
        node("Concat", ["p2o.Slice.0", shape[2]], "p2o.Concat.0", axis=0),
        node("Reshape", ["pool2d_0.tmp_0", "p2o.Concat.0"], "flatten_0.tmp_0"),
        node("Identity", ["flatten_0.tmp_0"], "dropout_0.tmp_0"),
        node("MatMul", ["dropout_0.tmp_0", dense], "linear_0.tmp_0"),
        node("Add", ["linear_0.tmp_0", bias], "linear_0.tmp_1"),
        node("Identity", ["linear_0.tmp_1"], "save_infer_model/scale_0.tmp_0")]
    save("paddle", "PaddlePaddle", 11, 7, nodes, [], "x", "save_infer_model/scale_0.tmp_0")


def dynamo():
    """Names with dots, each node with metadata of the module that it is from."""
    import torch
    from torch import nn

    class Block(nn.Sequential):
        def __init__(self, inputs, outputs):
            super().__init__(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                             nn.BatchNorm2d(outputs), nn.SiLU())
            norm = self[1]
            for part in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                part.uniform_(.5, 1.5)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.fc = Block(2, 4), Block(4, 4), nn.Linear(4, 3)
            self.drop = nn.Dropout()

        def forward(self, x):
            x = self.first(x)
            x = torch.relu(self.second(x) + x)
            return self.fc(self.drop(x.mean((2, 3))))

    torch.manual_seed(5)
    program = torch.onnx.export(
        Net().eval(), (torch.randn(2, 2, 6, 6),), dynamo=True, optimize=False, verbose=False,
        dynamic_shapes=({0: torch.export.Dim("batch")},), input_names=["x"], output_names=["y"])
    model = program.model_proto
    for each in model.graph.node:  # where the sources stand is nobody's business
        kept = [p for p in each.metadata_props if "stack_trace" not in p.key]
        del each.metadata_props[:]
        each.metadata_props.extend(kept)
    onnx.save(model, HERE / "onnx" / "from_dynamo.onnx")


def results():
    arrays = {}
    for name in ("tf2onnx", "keras", "paddle", "dynamo"):
        session = onnxruntime.InferenceSession(HERE / "onnx" / f"from_{name}.onnx")
        shape = [n if isinstance(n, int) else 2 for n in session.get_inputs()[0].shape]
        x = random.standard_normal(shape).astype(np.float32)
        arrays[f"{name}.x"] = x
        arrays[f"{name}.y"] = session.run(None, {session.get_inputs()[0].name: x})[0]
    golden.write(HERE / "exporters.golden", arrays)


tf2onnx()
keras()
paddle()
dynamo()
results()
