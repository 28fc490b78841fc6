#!/usr/bin/env bash
# dcm2niix 1.0.20260724 scales every frame of an enhanced MR file by the last frame's RescaleSlope, unless the maker is Philips.
#
# In an enhanced MR file each frame may have a slope of its own (PixelValueTransformationSequence). dcm2niix writes one NIfTI with one
# scl_slope: that of the last frame, and exit code 0. With Philips as the maker the same file comes out right, as float32. Frames whose
# header lies out of order are also put elsewhere than their positions say. Seen on 2026-11-30 (1.0.20250506 does the same), 32 frames,
# each stored as 100, slopes 1.00 to 2.55:
#   SIEMENS: first frame 255, last frame 255; Philips: first frame 100, last frame 255
# Cure: read the frames with pydicom, each with its own slope, wherever slopes differ.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet dcm2niix==1.0.20260724 pydicom==3.0.2 numpy==2.4.6 nibabel==5.4.2
cd "$work"
"$work/venv/bin/python" - <<'PY'
import subprocess
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

ENHANCED, COUNT, SIZE = "1.2.840.10008.5.1.4.1.1.4.1", 32, 40


def item(**values):
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def write(path, maker):
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID = ENHANCED, ExplicitVRLittleEndian
    meta.MediaStorageSOPInstanceUID, meta.ImplementationClassUID = "1.2.3.1", "1.2.3.4"
    made = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    made.SOPClassUID, made.SOPInstanceUID, made.Modality, made.Manufacturer = ENHANCED, "1.2.3.1", "MR", maker
    made.StudyInstanceUID, made.SeriesInstanceUID, made.FrameOfReferenceUID = "1.2.3.9", "1.2.3.3", "1.2.3.8"
    made.SeriesNumber, made.InstanceNumber, made.NumberOfFrames = 3, 1, COUNT
    made.ImageType, made.MRAcquisitionType = ["ORIGINAL", "PRIMARY", "M", "ND"], "3D"
    made.EchoTime, made.RepetitionTime = "3", "2000"
    made.SharedFunctionalGroupsSequence = [
        item(
            PlaneOrientationSequence=[item(ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])],
            PixelMeasuresSequence=[item(PixelSpacing=[3.0, 3.0], SliceThickness=3.0)],
        )
    ]
    made.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=[-60.0, -60.0, 3.0 * frame])],
            FrameContentSequence=[item(StackID="1", InStackPositionNumber=frame + 1, DimensionIndexValues=[1, frame + 1])],
            PixelValueTransformationSequence=[item(RescaleSlope=1 + 0.05 * frame, RescaleIntercept=0.0, RescaleType="US")],
        )
        for frame in range(COUNT)
    ]
    made.Rows = made.Columns = SIZE
    made.SamplesPerPixel, made.PhotometricInterpretation, made.PixelRepresentation = 1, "MONOCHROME2", 0
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelData = np.full((COUNT, SIZE, SIZE), 100, np.uint16).tobytes()
    made.save_as(path, enforce_file_format=True)


found = {}
for maker in ("SIEMENS", "Philips"):
    folder, out = Path(maker), Path(f"{maker}-out")
    folder.mkdir()
    out.mkdir()
    write(folder / "scan.dcm", maker)
    command = [dcm2niix.bin, "-b", "n", "-z", "n", "-x", "i", "-f", "scan", "-o", str(out), str(folder)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (image,) = out.glob("*.nii")
    values = np.asarray(nib.load(image).dataobj)
    found[maker] = (round(float(values[..., 0].mean())), round(float(values[..., -1].mean())))
    print(f"{maker}: first frame {found[maker][0]}, last frame {found[maker][1]}")
assert found["SIEMENS"] == (255, 255), "the behaviour has changed"
assert found["Philips"] == (100, 255), "the behaviour has changed"
PY
