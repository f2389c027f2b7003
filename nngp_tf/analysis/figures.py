"""Figures of a comparison of scores with the truth; see the modules named figures_*.

They need matplotlib, of the extra [figures]; importing this module does not. Each returns a
`matplotlib.figure.Figure` of a phone's width, made without pyplot. Estimates may be NaN, or have no
interval: a figure says what it does not show. Same values, same bytes.
"""

from nngp_tf.analysis.figures_cost import CostPoint, against_cost, pareto_front
from nngp_tf.analysis.figures_curves import (
    against_diag_reg,
    against_num_inits,
    against_num_known,
    learning_curves,
    pqetp_curves,
)
from nngp_tf.analysis.figures_scatter import scatter
from nngp_tf.analysis.figures_style import png, require_matplotlib, save_figure
from nngp_tf.analysis.figures_uses import combination, reduction

__all__ = [
    "CostPoint",
    "against_cost",
    "against_diag_reg",
    "against_num_inits",
    "against_num_known",
    "combination",
    "learning_curves",
    "pareto_front",
    "png",
    "pqetp_curves",
    "reduction",
    "require_matplotlib",
    "save_figure",
    "scatter",
]
