import tensorflow as tf

with tf.Graph().as_default():
    hello = tf.constant("Hello, TensorFlow!")
    with tf.compat.v1.Session() as sess:
        print(sess.run(hello))
