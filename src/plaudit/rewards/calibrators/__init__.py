"""Calibrators: from a difference of rewards to the probability that the first is better, and how sure that is."""

from plaudit._lazy import exports

__getattr__, __all__ = exports(
    __name__,
    {
        "Calibration": "stored",
        "read_calibration": "stored",
        "weights_digest": "stored",
        "Calibrator": "base",
        "Conformal": "conformal",
        "CrossFitted": "crossing",
        "Isotonic": "isotonic",
        "Platt": "platt",
        "ResidualInterval": "intervals",
        "calibrated_probability": "reading",
        "stated_margin": "reading",
        "Temperature": "temperature",
        "VennAbers": "venn_abers",
        "calibrator_type": "choosing",
        "conformal_p_values": "conformal",
        "cross_fitted": "crossing",
        "fit_calibrator": "choosing",
        "label_p_values": "conformal",
        "pool_adjacent_violators": "isotonic",
        "venn_abers_interval": "venn_abers",
    },
)
