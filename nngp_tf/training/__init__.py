"""Short gradient training of networks: the signal that NNGP inference is compared with."""
