import tensorflow as tf

print(tf.add(1, 2).numpy())
