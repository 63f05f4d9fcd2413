"""Batch normalisation for the networks of the course (Ioffe and Szegedy 2015, arXiv 1502.03167)."""

from course_lib.backend import keras, layers


class BatchNormalization(layers.BatchNormalization):
    """Keras' layer; on TensorFlow one kernel computes a training step instead of several.

    The numbers are the same but for rounding. The kernel reads and writes the layer's own dtype:
    under mixed precision no copy in float32 is made, and statistics, scale and offset are float32
    all the same. ResNet-20 trains a third faster for it on a CPU, and more in bfloat16
    (tests/benchmarks/bench_training.py).
    """

    # What a saved model calls its layer: with Keras' own it loads anywhere, without this library.
    __module__ = "keras.layers"

    def call(self, inputs, training=None, mask=None):
        images = len(inputs.shape) == 4 and self.axis in (-1, 3)
        plain = self.scale and self.center and mask is None
        plain = plain and not getattr(self, "renorm", False)  # Keras has it from 3.14 on
        tensorflow = keras.backend.backend() == "tensorflow"
        if not (training and self.trainable and images and plain and tensorflow):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        x = tf.cast(inputs, self.compute_dtype)
        gamma, beta = tf.cast(self.gamma, "float32"), tf.cast(self.beta, "float32")
        y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=self.epsilon)
        # The kernel's variance is an estimate from n values, over n - 1; Keras divides by n.
        n = tf.cast(tf.size(x) / tf.size(mean), "float32")
        for moving, value in (
            (self.moving_mean, mean),
            (self.moving_variance, variance * (n - 1) / n),
        ):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return y
