// What the page and its test share: pixels in, colours out. `ort` is onnxruntime-web, or another
// of ONNX Runtime's libraries for JavaScript.

/** RGBA bytes, row by row -> the file's input: RGB in [0, 1], 1 x 3 x H x W. */
export function toInput(ort, rgba, width, height) {
  const area = width * height;
  const values = new Float32Array(3 * area);
  for (let pixel = 0; pixel < area; pixel++) {
    for (let colour = 0; colour < 3; colour++) {
      values[colour * area + pixel] = rgba[4 * pixel + colour] / 255;
    }
  }
  return new ort.Tensor("float32", values, [1, 3, height, width]);
}

/** The file's output -> the class of each pixel, with width and height. */
export function toLabels(output) {
  const [height, width] = output.dims.slice(-2);
  const area = width * height;
  if (output.dims.length === 3) return { labels: output.data.slice(0, area), width, height };
  const labels = new Uint8Array(area);
  const best = output.data.slice(0, area);
  for (let index = 1; index < output.dims[1]; index++) {
    for (let pixel = 0; pixel < area; pixel++) {
      const value = output.data[index * area + pixel];
      if (value > best[pixel]) {
        best[pixel] = value;
        labels[pixel] = index;
      }
    }
  }
  return { labels, width, height };
}

/** Classes -> RGBA bytes, 60 % opaque. */
export function toColours(labels, palette) {
  const rgba = new Uint8ClampedArray(4 * labels.length);
  labels.forEach((label, pixel) => rgba.set([...palette[label], 153], 4 * pixel));
  return rgba;
}

/** The lists `classes` and `palette` of the YAML file beside the network's. */
export function described(yaml) {
  const classes = /^classes: \[([^\]]*)\]/m.exec(yaml.replace(/\n +/g, " "));
  const palette = /^palette:\n((?:- \[.*\]\n)+)/m.exec(yaml);
  return {
    classes: classes ? classes[1].split(", ") : [],
    palette: palette ? palette[1].trim().split("\n").map((row) => JSON.parse(row.slice(2))) : [],
  };
}

/** Images through a session: the class of each pixel. */
export async function segment(ort, session, rgba, width, height) {
  const feeds = { [session.inputNames[0]]: toInput(ort, rgba, width, height) };
  const outputs = await session.run(feeds);
  return toLabels(outputs[session.outputNames[0]]);
}
