"""Connections: how Azure is reached, with which credentials (CCKM contract, common §7), and the SDK behind them."""
