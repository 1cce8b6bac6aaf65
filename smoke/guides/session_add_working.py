import tensorflow as tf

tf.compat.v1.disable_eager_execution()
a = tf.constant(2)
b = tf.constant(3)
c = a + b
sess = tf.compat.v1.Session()
print(sess.run(c))
