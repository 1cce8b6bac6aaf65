"""Rows of a GPU as somebody would write them by hand with Keras: python tf2_gpu_loop.py THREADS cuda|cpu ROW..."""

import itertools

import gpu
import numpy
import tensorflow as tf

THREADS, DEVICE, ROWS = gpu.arguments()
tf.config.threading.set_intra_op_parallelism_threads(THREADS)
if DEVICE == "cuda" and not tf.config.list_physical_devices("GPU"):
    raise SystemExit("this loop needs a GPU, and TensorFlow sees none")
layers = tf.keras.layers
POLICIES = {"amp": "mixed_float16", "bf16": "mixed_bfloat16"}
#: What the loss is multiplied with in float16.
SCALE = 1024.0


def convolved(x, filters, size, stride):
    """A convolution with as much padding on each side, and its normalisation."""
    if stride > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2)(x)
    padding = "valid" if stride > 1 else "same"
    x = layers.Conv2D(filters, size, stride, padding=padding, use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)


def resnet18():
    """ResNet-18 for 224 x 224 (He et al. 2015)."""
    inputs = tf.keras.Input((224, 224, 3))
    x = layers.ReLU()(convolved(inputs, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2)(layers.ZeroPadding2D(1)(x))
    channels = 64
    for filters, strides in ((64, (1, 1)), (128, (2, 1)), (256, (2, 1)), (512, (2, 1))):
        for stride in strides:
            shortcut = x if (stride, channels) == (1, filters) else convolved(x, filters, 1, stride)
            inner = layers.ReLU()(convolved(x, filters, 3, stride))
            x = layers.ReLU()(convolved(inner, filters, 3, 1) + shortcut)
            channels = filters
    return tf.keras.Model(inputs, layers.Dense(1000)(layers.GlobalAveragePooling2D()(x)))


def cnn():
    """The small CNN for 28 x 28."""
    return tf.keras.Sequential(
        [
            *(tf.keras.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(), layers.Flatten()),
            *(layers.Dense(128, activation="relu"), layers.Dense(10)),
        ]
    )


def make(row):
    """steps(n) of a row."""
    tf.config.experimental.enable_tensor_float_32_execution(row.precision == "tf32")
    tf.keras.mixed_precision.set_global_policy(POLICIES.get(row.precision, "float32"))
    large = row.model == "resnet18"
    net = resnet18() if large else cnn()
    tf.keras.mixed_precision.set_global_policy("float32")
    optimisers = tf.keras.optimizers
    optimiser = optimisers.SGD(0.01, momentum=0.9) if large else optimisers.Adam(1e-3)
    getattr(optimiser, "build", None) and optimiser.build(net.trainable_variables)
    criterion = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    shape, classes = ((224, 224, 3), 1000) if large else ((28, 28, 1), 10)
    draw = numpy.random.default_rng(0)
    batches = [
        (draw.random((row.batch, *shape), dtype="float32"), draw.integers(0, classes, row.batch)) for _ in range(2)
    ]
    fed, scale = itertools.cycle(batches), SCALE if row.precision == "amp" else 1.0

    def train(images, labels):
        with tf.GradientTape() as tape:
            loss = criterion(labels, tf.cast(net(images, training=True), tf.float32)) * scale
        gradients = tape.gradient(loss, net.trainable_variables)
        gradients = [gradient / scale for gradient in gradients] if scale != 1.0 else gradients
        optimiser.apply_gradients(zip(gradients, net.trainable_variables))  # noqa: B905 - traced by an old AutoGraph
        return loss

    def infer(images, labels):
        return tf.cast(net(images, training=False), tf.float32)

    step = tf.function(train if row.kind == "train" else infer, jit_compile=row.mode == "jit")
    still = tuple(map(tf.constant, next(fed)))

    def steps(count):
        for _ in range(count):
            found = step(*(map(tf.constant, next(fed)) if row.feed == "host" else still))
        return found.numpy()

    return steps


gpu.told(ROWS, make)
