#!/usr/bin/env bash
# NiiVue 0.69.0 turns millimetres into a place as if the axes of every scan stood at right angles to those of the world.
#
# `mm2frac` takes a point in millimetres and returns where it lies in the volume, 0 to 1 along each axis; a crosshair is put there. With the
# default `isSliceMM: false` it does so without the rotation of an oblique scan, and says nothing. Seen on 2026-12-01, with a scan of
# 20 x 24 x 22 voxels of 3 mm that is turned by 25 and 12 degrees, for the voxel (4, 18, 15), whose millimetres its sform gives:
#   isSliceMM false: voxel -1.53,14.85,12.05 instead of 4,18,15, 21.1 mm beside
#   isSliceMM true: voxel 4.00,18.00,15.00 instead of 4,18,15, 0.0 mm beside
# Cure: `new Niivue({ isSliceMM: true })` wherever a place comes from a table in millimetres.
# Needs node 20 or newer, and no browser: the two functions draw nothing.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init -y >/dev/null
npm install --silent @niivue/niivue@0.69.0
cat >place.mjs <<'JS'
globalThis.window = globalThis; globalThis.self = globalThis;
import { Niivue, NVImage } from '@niivue/niivue'
// a NIfTI-1 image of 20 x 24 x 22 voxels of 3 mm, turned by 25 degrees about z and then -12 about x
const [nx, ny, nz] = [20, 24, 22], [a, b] = [25 * Math.PI / 180, -12 * Math.PI / 180]
const rz = [[Math.cos(a), -Math.sin(a), 0], [Math.sin(a), Math.cos(a), 0], [0, 0, 1]]
const rx = [[1, 0, 0], [0, Math.cos(b), -Math.sin(b)], [0, Math.sin(b), Math.cos(b)]]
const mul = (p, q) => p.map((row) => q[0].map((_, j) => row.reduce((s, v, k) => s + v * q[k][j], 0)))
const turn = mul(rz, rx)
const aff = turn.map((row, i) => [...row.map((v) => 3 * v), [-20, -30, -25][i]])
const buffer = new ArrayBuffer(352 + nx * ny * nz), view = new DataView(buffer), le = true
view.setInt32(0, 348, le)
;[3, nx, ny, nz, 1, 1, 1, 1].forEach((v, i) => view.setInt16(40 + 2 * i, v, le))
view.setInt16(70, 2, le); view.setInt16(72, 8, le)
;[1, 3, 3, 3, 1, 1, 1, 1].forEach((v, i) => view.setFloat32(76 + 4 * i, v, le))
view.setFloat32(108, 352, le); view.setFloat32(112, 1, le); view.setUint8(123, 2)
view.setInt16(254, 1, le)
aff.forEach((row, i) => row.forEach((v, j) => view.setFloat32(280 + 16 * i + 4 * j, v, le)))
;[0x6e, 0x2b, 0x31, 0].forEach((v, i) => view.setUint8(344 + i, v))
new Uint8Array(buffer, 352).forEach((_, i, all) => { all[i] = i % 251 })
const image = await NVImage.new(buffer, 'turned.nii')
const voxel = [4, 18, 15]
const mm = aff.map((row) => row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3])
for (const isSliceMM of [false, true]) {
  const nv = new Niivue({ isSliceMM })
  nv.volumes = [image]; nv.back = image
  const frac = Array.from(nv.mm2frac(mm))
  const found = frac.map((v, i) => v * [nx, ny, nz][i] - 0.5)
  const error = Math.hypot(...found.map((v, i) => 3 * (v - voxel[i])))
  console.log(`isSliceMM ${isSliceMM}: voxel ${found.map((v) => v.toFixed(2))} instead of ${voxel}, ${error.toFixed(1)} mm beside`)
}
JS
said=$(node place.mjs 2>/dev/null | grep isSliceMM)
echo "$said"
wanted="isSliceMM false: voxel -1.53,14.85,12.05 instead of 4,18,15, 21.1 mm beside
isSliceMM true: voxel 4.00,18.00,15.00 instead of 4,18,15, 0.0 mm beside"
[ "$said" = "$wanted" ] || { echo "the behaviour has changed" >&2; exit 1; }
