"""Training the small CNN as somebody would write it by hand: python tf2_loop.py THREADS; prints images/s."""

import sys

import laps
import tensorflow as tf

BATCH = 128

tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[1]))
net = tf.keras.Sequential(
    [
        tf.keras.layers.Conv2D(32, 3, activation="relu"),
        tf.keras.layers.MaxPooling2D(),
        tf.keras.layers.Conv2D(64, 3, activation="relu"),
        tf.keras.layers.MaxPooling2D(),
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(128, activation="relu"),
        tf.keras.layers.Dense(10),
    ]
)
net.build((None, 28, 28, 1))
optimiser = tf.keras.optimizers.Adam(1e-3)
criterion = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
images = tf.random.uniform((BATCH, 28, 28, 1))
labels = tf.random.uniform((BATCH,), maxval=10, dtype=tf.int32)


@tf.function
def step():
    """One step."""
    with tf.GradientTape() as tape:
        loss = criterion(labels, net(images, training=True))
    gradients = tape.gradient(loss, net.trainable_variables)
    optimiser.apply_gradients(zip(gradients, net.trainable_variables))  # noqa: B905 - traced by an old AutoGraph
    return loss


def steps(count):
    """Take ``count`` steps and wait for the last."""
    for _ in range(count):
        loss = step()
    return float(loss)


laps.told(steps, BATCH)
