"""Cells and networks that several tests use, with what is published about them."""

from nngp_tf.search_spaces.nasbench101 import CONV1X1, CONV3X3, INPUT, MAXPOOL3X3, OUTPUT, Cell

# The example of the benchmark's README, 2,694,282 trainable parameters.
INCEPTION = Cell.from_text(
    "0111010/0000001/0000001/0000100/0000001/0000001/0000000:"
    f"{INPUT},{CONV1X1},{CONV3X3},{CONV3X3},{CONV3X3},{MAXPOOL3X3},{OUTPUT}"
)
RESNET = Cell.from_text(f"0101/0010/0001/0000:{INPUT},{CONV3X3},{CONV3X3},{OUTPUT}")
