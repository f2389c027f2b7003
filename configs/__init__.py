"""The gin files, one per experiment; installed as `nngp_tf.configs`."""
