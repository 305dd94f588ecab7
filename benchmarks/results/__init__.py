"""The results table: networks x accelerators x repair x methods x seeds, searched through sweeps."""
