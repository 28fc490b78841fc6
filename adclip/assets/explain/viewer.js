// The viewer: the scan with the map over it, tied to the table of regions. NiiVue draws; everything it needs stands in this page.
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const facts = JSON.parse(byId("viewer-facts").textContent);
  const root = document.documentElement;
  const AXES = { ArrowLeft: [-1, 0, 0], ArrowRight: [1, 0, 0], ArrowDown: [0, -1, 0], ArrowUp: [0, 1, 0], PageDown: [0, 0, -1], PageUp: [0, 0, 1] };
  const FOR = "warm", AGAINST = "winter";
  const HIDE_BELOW_MIN = 2; // colours run from 0, and what is below `cal_min` is left out: what NiiVue 0.69 does, whose own name says fading

  // ---------------------------------------------------------------------------------------------- what stands in the page

  async function unpack(id) {
    const place = byId(id);
    const text = atob(place.textContent);
    place.textContent = ""; // megabytes that are needed once
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) bytes[i] = text.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  }

  async function loadNiivue() {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(await unpack("viewer-code"));
    document.head.append(script); // runs at once, if the page's policy knows its hash
    return globalThis.niivue;
  }

  async function readLabels() {
    if (!byId("label-data")) return () => "";
    const voxels = new Uint8Array(await unpack("label-data"));
    const { shape, fromMm, names } = facts.labels;
    return (mm) => {
      const place = [0, 1, 2].map((row) => Math.round(fromMm[row][0] * mm[0] + fromMm[row][1] * mm[1] + fromMm[row][2] * mm[2] + fromMm[row][3]));
      if (place.some((value, axis) => value < 0 || value >= shape[axis])) return "";
      const code = voxels[(place[0] * shape[1] + place[1]) * shape[2] + place[2]];
      return code in names ? String(code) : "";
    };
  }

  // ---------------------------------------------------------------------------------------------- the viewer

  async function start() {
    const niivue = await loadNiivue();
    const codeAt = await readLabels();
    byId("viewer").hidden = false; // NiiVue takes its size from the page
    byId("split").classList.add("two");
    const canvas = byId("canvas");
    const nv = new niivue.Niivue({
      isSliceMM: true, // slices along the scanner's axes, and millimetres that are the file's also where it is oblique
      isRadiologicalConvention: false, dragAndDropEnabled: false, scrollRequiresFocus: true, logLevel: "error",
      viewModeHotKey: "", clipPlaneHotKey: "", cycleClipPlaneHotKey: "", backColor: [0, 0, 0, 1], crosshairColor: [0.3, 1, 0.4, 0.9],
      fontColor: [1, 1, 1, 1], showAllOrientationMarkers: true, multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS, show3Dcrosshair: true, crosshairWidth: 0.8, crosshairWidthUnit: "mm", multiplanarPadPixels: 14, loadingText: "",
    });
    await nv.attachToCanvas(canvas, false);
    const scan = await niivue.NVImage.new(await unpack("scan-data"), "scan.nii", "gray", 1, null, 0, 255);
    const map = await niivue.NVImage.new(await unpack("map-data"), "map.nii", FOR, 0.6, null, 0.2, 1);
    map.colormapType = HIDE_BELOW_MIN;
    nv.addVolume(scan);
    nv.addVolume(map);

    const moveTo = (mm) => {
      nv.scene.crosshairPos = nv.mm2frac(mm).map((share) => Math.min(Math.max(share, 0), 1));
      nv.drawScene();
      nv.createOnLocationChange();
    };
    const here = () => Array.from(nv.frac2mm(nv.scene.crosshairPos)).slice(0, 3);
    nv.onLocationChange = (found) => tellPlace(Array.from(found.mm).slice(0, 3), found.values[1].value, codeAt);
    connectControls(nv, map, niivue);
    connectKeys(nv, moveTo, here);
    connectRegions(moveTo);
    byId("to-peak").addEventListener("click", () => moveTo(facts.peakMm));
    moveTo(facts.peakMm);

    byId("no-viewer").hidden = true;
    byId("still").open = false;
    if (byId("regions-told")) byId("regions-told").hidden = false;
    globalThis.adclipViewer = { nv, here, moveTo }; // for a console
    root.dataset.viewer = "ready";
  }

  function tellPlace(mm, value, codeAt) {
    const code = codeAt(mm);
    const name = code ? facts.labels.names[code] : "no region of the table";
    const side = Math.abs(value) < 0.005 ? "" : value > 0 ? `, speaks for ${facts.target}` : `, speaks against ${facts.target}`;
    const [x, y, z] = mm.map((one) => (Math.abs(one) < 0.05 ? 0 : one).toFixed(1).replace("-", "−"));
    byId("where").textContent = `x ${x}, y ${y}, z ${z} mm · ${name} · map ${value.toFixed(2).replace("-", "−")}${side}`;
    for (const row of document.querySelectorAll("#regions tbody tr")) {
      if (code && row.dataset.code === code) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  // ---------------------------------------------------------------------------------------------- controls

  function connectControls(nv, map, niivue) {
    const types = { multi: "MULTIPLANAR", axial: "AXIAL", coronal: "CORONAL", sagittal: "SAGITTAL", render: "RENDER" };
    const show = () => {
      const threshold = Number(byId("threshold").value), opacity = Number(byId("opacity").value);
      const signed = byId("sign").value === "signed";
      map.cal_min = threshold;
      map.cal_max = 1;
      map.colormapNegative = signed ? AGAINST : "";
      nv.overlayOutlineWidth = byId("contour").checked ? 1.5 : 0;
      nv.setOpacity(1, opacity); // draws anew
      byId("opacity-told").textContent = `${Math.round(opacity * 100)} %`;
      byId("threshold-told").textContent = threshold.toFixed(2);
      drawScale(nv, threshold, signed);
    };
    for (const id of ["opacity", "threshold", "sign", "contour"]) byId(id).addEventListener("input", show);
    byId("view").addEventListener("input", () => nv.setSliceType(niivue.SLICE_TYPE[types[byId("view").value]]));
    show();
  }

  function drawScale(nv, threshold, signed) {
    const canvas = byId("scale"), pen = canvas.getContext("2d"), width = canvas.width;
    const tables = { [FOR]: nv.colormap(FOR), [AGAINST]: nv.colormap(AGAINST) };
    const pixels = pen.createImageData(width, 1);
    for (let i = 0; i < width; i += 1) {
      const value = signed ? (2 * i) / (width - 1) - 1 : i / (width - 1);
      if (Math.abs(value) < threshold) continue; // left clear, as in the picture
      const at = 4 * Math.round(255 * Math.abs(value)), table = tables[value < 0 ? AGAINST : FOR];
      pixels.data.set([table[at], table[at + 1], table[at + 2], 255], 4 * i);
    }
    pen.putImageData(pixels, 0, 0);
    byId("scale-low").textContent = signed ? "−1 and below" : "0";
    byId("scale-told").textContent = "Relevance, without a unit: 1 is the most relevant patch; "
      + (signed ? `above 0 speaks for ${facts.target}, below 0 against it. ` : `it speaks for ${facts.target}. `)
      + `Values nearer to 0 than ${threshold.toFixed(2)} are not drawn.`;
  }

  function connectKeys(nv, moveTo, here) {
    const stage = byId("stage");
    const listen = (event) => {
      event.stopPropagation(); // NiiVue has keys of its own, which nobody was told of
      if (event.type !== "keydown" || event.ctrlKey || event.altKey || event.metaKey) return;
      if (event.key === "Home") moveTo(facts.peakMm);
      else if (event.key in AXES) {
        const step = event.shiftKey ? 10 : 1;
        moveTo(here().map((value, axis) => value + step * AXES[event.key][axis]));
      } else return;
      event.preventDefault();
    };
    stage.addEventListener("keydown", listen, true);
    stage.addEventListener("keyup", listen, true);
  }

  function connectRegions(moveTo) {
    for (const row of document.querySelectorAll("#regions tr[data-peak]")) {
      const name = row.querySelector("th");
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name.textContent;
      name.replaceChildren(button);
      row.addEventListener("click", () => moveTo(row.dataset.peak.split(" ").map(Number)));
    }
  }

  function giveUp(error) {
    byId("viewer").hidden = true;
    byId("split").classList.remove("two");
    byId("no-viewer").hidden = false;
    byId("still").open = true;
    root.dataset.viewer = "absent";
    if (error) console.warn(`adclip: the viewer cannot start: ${error.message}`);
  }

  const able = "DecompressionStream" in globalThis && document.createElement("canvas").getContext("webgl2");
  if (able) start().catch(giveUp);
  else giveUp();
})();
