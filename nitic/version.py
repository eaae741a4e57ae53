"""The version, for the packaging, `nitic --version` and the binaries."""

VERSION = "0.1.0"
