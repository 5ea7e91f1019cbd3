"""DICOM headers and geometry: from files to one row a series."""
