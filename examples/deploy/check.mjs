// The page's own functions with a file, under Node:
//
//   npm install onnxruntime-web
//   node check.mjs student.onnx
//
// A grey image of 48 x 32 goes in; the share of each class comes out, as JSON.
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-web";
import { described, segment, toColours } from "./segment.mjs";

const file = process.argv[2];
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(new Uint8Array(await readFile(file)));
const { classes, palette } = described(await readFile(`${file}.yaml`, "utf8"));
const [width, height] = [48, 32];
const grey = new Uint8Array(4 * width * height).fill(128);
const found = await segment(ort, session, grey, width, height);
const opaque = toColours(found.labels, palette).filter((value) => value === 153).length;
const shares = classes.map((name, index) => [
  name, found.labels.filter((label) => label === index).length / found.labels.length,
]);
console.log(JSON.stringify({ shares: Object.fromEntries(shares), size: [found.height, found.width],
  opaque: opaque >= width * height }));
