"""3D-RADNet, reproducible: from DICOM headers to pretrained 3D networks and a fair test of them."""

__version__ = "0.1.0"
